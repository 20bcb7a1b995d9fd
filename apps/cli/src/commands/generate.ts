import type { GenerateOptions, GenerationEnd } from '@phiblocks/runtime';
import { Command } from 'commander';
import { expandImages, type ImageFlags, idsOption, imageOption, readImages } from '../images.ts';
import {
  type BackendOptions,
  backendOptions,
  kvCacheOption,
  loadForCommand,
  modelOption,
  shortBackend,
} from '../load-model.ts';
import { createInterrupt, createProgress, note, print } from '../terminal.ts';
import { type ImagePlace, number, repeated, UsageError, wholeNumber } from '../usage-error.ts';

interface GenerateFlags extends BackendOptions, ImageFlags {
  readonly model: string;
  readonly prompt?: string;
  readonly ids?: (number | ImagePlace)[];
  readonly chat?: string;
  readonly system?: string;
  readonly maxNewTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly seed?: number;
  readonly stop?: string[];
  readonly ignoreEos?: boolean;
  readonly promptLookup?: boolean;
  readonly json?: boolean;
}

export function generateCommand(): Command {
  const command = new Command('generate')
    .description('write text behind a prompt, streamed to standard output')
    .addOption(modelOption())
    .option('--prompt <text>', 'text to continue')
    .addOption(idsOption())
    .addOption(imageOption())
    .option('--chat <text>', 'a message to answer, in the chat format of the model')
    .option('--system <text>', 'with --chat: the system message')
    .option('--max-new-tokens <n>', 'stop after so many tokens', wholeNumber(0))
    .option(
      '--temperature <t>',
      '0 takes the likeliest token (default)',
      number('a number from 0 up', (value) => value >= 0),
    )
    .option(
      '--top-p <p>',
      'sample from the likeliest tokens that together reach this probability',
      number('a number above 0 and up to 1', (value) => value > 0 && value <= 1),
    )
    .option('--top-k <k>', 'sample from the k likeliest tokens', wholeNumber(1))
    .option('--seed <s>', 'repeat a sampled text', wholeNumber(0))
    .option('--stop <text>', 'end before this text; may be given again', repeated)
    .option('--ignore-eos', 'go on past the end-of-text tokens')
    .option(
      '--prompt-lookup',
      'guess tokens from the text so far: the same greedy text in fewer passes where it repeats itself',
    )
    .addOption(kvCacheOption())
    .option('--json', 'print one JSON object at the end and nothing else');
  for (const option of backendOptions()) command.addOption(option);
  return command.action(async (flags: GenerateFlags) => generate(flags));
}

async function generate(flags: GenerateFlags): Promise<void> {
  if (flags.temperature === undefined && (flags.topP !== undefined || flags.topK !== undefined)) {
    throw new UsageError('--top-p and --top-k go with --temperature: without it the likeliest token is taken');
  }
  if (flags.promptLookup && (flags.temperature ?? 0) > 0) {
    throw new UsageError('--prompt-lookup goes with greedy generation, not with --temperature above 0');
  }
  const { ids, ...options } = promptOf(flags);
  const interrupt = createInterrupt();
  const model = await loadForCommand(flags.model, flags, interrupt.signal);
  const progress = createProgress('Reading the prompt');
  try {
    const images = await readImages(flags);
    const generation = model.generate({
      ...options,
      promptIds: ids && expandImages(model, ids, images),
      images,
      maxNewTokens: flags.maxNewTokens,
      temperature: flags.temperature,
      topP: flags.topP,
      topK: flags.topK,
      seed: flags.seed,
      stop: flags.stop,
      ignoreEos: flags.ignoreEos,
      promptLookup: flags.promptLookup ? {} : undefined,
      signal: interrupt.signal,
      onPrefill: ({ done, total }) => progress.update(done, total),
    });
    let end: GenerationEnd | undefined;
    for await (const item of generation) {
      progress.end();
      if (item.type === 'end') end = item;
      if (!flags.json) await print(item.type === 'end' ? `${item.tail}\n` : item.text);
    }
    for (const warning of end!.warnings) note(`phiblocks: ${warning}`);
    if (flags.json) {
      const { promptIds, ids, text, finishReason, usage, timings } = end!;
      await print(`${JSON.stringify({ promptIds, ids, text, finishReason, usage, timings })}\n`);
    } else if (process.stderr.isTTY) {
      note(summaryOf(end!, shortBackend(model.backendReport())));
    }
  } finally {
    progress.end();
    interrupt.release();
    await model.dispose();
  }
}

function promptOf({
  prompt,
  ids,
  chat,
  system,
}: GenerateFlags): Pick<GenerateOptions, 'prompt' | 'messages'> & Pick<GenerateFlags, 'ids'> {
  const given = [prompt, ids, chat].filter((value) => value !== undefined).length;
  if (given !== 1) throw new UsageError('give exactly one of --prompt, --ids and --chat');
  if (system !== undefined && chat === undefined) throw new UsageError('--system goes with --chat');
  if (prompt !== undefined) return { prompt };
  if (ids !== undefined) return { ids };
  const messages = [{ role: 'user', content: chat! }];
  return { messages: system === undefined ? messages : [{ role: 'system', content: system }, ...messages] };
}

function summaryOf({ usage, timings, finishReason }: GenerationEnd, backend: string): string {
  return (
    `[${usage.promptTokens} prompt tokens at ${timings.promptTokensPerSecond.toFixed(1)}/s, ` +
    `${usage.completionTokens} new at ${timings.decodeTokensPerSecond.toFixed(1)}/s, ended by ${finishReason}, on ${backend}]`
  );
}
