import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import {
  type EvaluationResult,
  type EvaluationSpecification,
  evaluatedModel,
  formatSummary,
  parseChoiceQuestions,
  runEvaluation,
  suites,
  taskNames,
  tasksOfSuite,
} from '@phiblocks/evals';
import { isPhi3Error, Phi3Error } from '@phiblocks/tensor';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type BackendOptions, backendOptions, loadForCommand, modelOption, shortBackend } from '../load-model.ts';
import { createInterrupt, createProgress, note, print } from '../terminal.ts';
import { UsageError, wholeNumber } from '../usage-error.ts';

interface EvalFlags extends BackendOptions {
  readonly model: string;
  readonly suite: string;
  readonly lengths?: readonly number[];
  readonly samples?: number;
  readonly seed?: number;
  readonly answerTokens?: number;
  readonly text?: string;
  readonly maxTokens?: number;
  readonly questions?: string;
  readonly format?: 'chat' | 'plain';
  readonly json?: string;
  readonly force?: boolean;
}

export function evalCommand(): Command {
  const command = new Command('eval')
    .description('measure what a model can do: long-context tasks, perplexity, multiple choice')
    .addOption(modelOption())
    .requiredOption(
      '--suite <name>',
      `${[...Object.keys(suites), 'perplexity', 'multiple-choice'].join(', ')}, or one task: ${taskNames.join(', ')}`,
    )
    .option(
      '--lengths <list>',
      'tokens in all, by commas; for perplexity: tokens of a window. Default: what the model holds, at most 4096',
      lengthList,
    )
    .option('--samples <n>', 'samples of each task at each length (default: 10)', wholeNumber(1, 1_000_000))
    .option('--seed <n>', 'makes the samples (default: 42)', wholeNumber(0))
    .option('--answer-tokens <n>', 'tokens for each answer, instead of those of the task', wholeNumber(1, 100_000))
    .option('--text <file>', 'for perplexity: what to read')
    .option('--max-tokens <n>', 'for perplexity: only so many tokens of the text', wholeNumber(2))
    .option('--questions <file>', 'for multiple-choice: lines of {"prompt", "choices", "answer"}')
    .addOption(
      new Option('--format <name>', 'how tasks are put; default: as chat where the checkpoint has a format').choices([
        'chat',
        'plain',
      ]),
    )
    .option('--json <file>', 'write every record and the summary there; a file that is there already is gone on with')
    .option('--force', 'with --json: start afresh, whatever is in the file');
  for (const option of backendOptions()) command.addOption(option);
  return command.action(evaluate);
}

async function evaluate(flags: EvalFlags): Promise<void> {
  const specificationFor = await readSpecification(flags);
  const previous = flags.json === undefined || flags.force ? undefined : await readJson(flags.json);
  const { signal, release } = createInterrupt();
  const started = performance.now();
  const model = await loadForCommand(flags.model, flags, signal);
  const progress = createProgress('Evaluating');
  const file = flags.json === undefined ? undefined : resultFile(flags.json);
  try {
    const evaluated = evaluatedModel(model, flags.format);
    const result = await runEvaluation(evaluated, specificationFor(evaluated.contextLength), {
      previous,
      signal,
      onRecord: async (now) => {
        progress.update(now.done, now.total);
        await file?.update(now.result);
      },
    });
    progress.end();
    await file?.update(result, true);
    for (const sentence of skippedSentences(result)) note(`phiblocks: ${sentence}`);
    await print(formatSummary(result));
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    note(`phiblocks: ${seconds} s on ${shortBackend(model.backendReport())}`);
  } catch (error) {
    if (isPhi3Error(error, 'ABORTED') && flags.json !== undefined && (await file!.flush())) {
      note(`phiblocks: what is done is in ${flags.json}; the same command goes on from there`);
    }
    if (isPhi3Error(error, 'EV_RESULT')) throw withHint(error, flags.json!);
    throw error;
  } finally {
    progress.end();
    release();
    await model.dispose();
  }
}

/** Reads what the command line names before a model is loaded. Lengths may depend on the model. */
async function readSpecification(flags: EvalFlags): Promise<(contextLength: number) => EvaluationSpecification> {
  const { suite, text, questions, lengths } = flags;
  const only = (option: string, value: unknown, isFor: string): void => {
    if (value !== undefined && suite !== isFor) throw new UsageError(`${option} goes with --suite ${isFor}`);
  };
  only('--text', text, 'perplexity');
  only('--max-tokens', flags.maxTokens, 'perplexity');
  only('--questions', questions, 'multiple-choice');
  if (flags.force && flags.json === undefined) throw new UsageError('--force goes with --json');
  if (suite === 'perplexity' || suite === 'multiple-choice') {
    for (const [option, value] of [
      ['--samples', flags.samples],
      ['--seed', flags.seed],
      ['--answer-tokens', flags.answerTokens],
      ['--format', flags.format],
      ...(suite === 'multiple-choice' ? [['--lengths', lengths]] : []),
    ] as const) {
      if (value !== undefined) throw new UsageError(`${option} makes no difference to --suite ${suite}`);
    }
  }
  if (suite === 'perplexity') {
    if (text === undefined) throw new UsageError('--suite perplexity needs --text FILE');
    const contents = await readFile(text, 'utf8');
    return (contextLength) => ({
      kind: 'perplexity',
      text: contents,
      lengths: lengths ?? [Math.min(contextLength, longestDefault)],
      maxTokens: flags.maxTokens,
    });
  }
  if (suite === 'multiple-choice') {
    if (questions === undefined) throw new UsageError('--suite multiple-choice needs --questions FILE.jsonl');
    const parsed = parseChoiceQuestions(await readFile(questions, 'utf8'), questions);
    return () => ({ kind: 'multiple-choice', questions: parsed });
  }
  expectSuite(suite);
  return (contextLength) => ({
    kind: 'long-context',
    suite,
    lengths: lengths ?? [Math.min(contextLength, longestDefault)],
    samples: flags.samples ?? 10,
    seed: flags.seed ?? 42,
    maxNewTokens: flags.answerTokens,
  });
}

const longestDefault = 4096;

function expectSuite(suite: string): void {
  try {
    tasksOfSuite(suite);
  } catch (error) {
    if (!isPhi3Error(error, 'EV_SUITE')) throw error;
    throw new Phi3Error({
      code: 'EV_SUITE',
      function: 'eval',
      argument: '--suite',
      expected: `${error.expected}, perplexity, multiple-choice`,
      got: suite,
    });
  }
}

function lengthList(text: string): number[] {
  const parts = text.split(',').map((part) => part.trim());
  if (!parts.every((part) => /^[1-9]\d{0,7}$/.test(part)) || new Set(parts).size < parts.length) {
    throw new InvalidArgumentError('Expected different lengths in tokens, separated by commas, for example 256,512.');
  }
  return parts.map(Number);
}

async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return JSON.parse(text);
  } catch {
    const expected = 'a result of phiblocks eval';
    throw withHint(new Phi3Error({ code: 'EV_RESULT', function: 'eval', expected, where: { file: path } }), path);
  }
}

function withHint(error: Phi3Error, file: string): Phi3Error {
  return new Phi3Error({
    code: 'EV_RESULT',
    function: 'eval',
    argument: '--json',
    expected: error.expected,
    got: error.got,
    where: { ...error.where, file },
    hint: 'Name another file, or start afresh with --force.',
    cause: error,
  });
}

/** Between two writes; a result with many records is long. */
const writeIntervalMs = 1000;

/** Keeps a file up to date: it holds a whole result at every moment, at most a second old. */
function resultFile(path: string) {
  const temporary = `${path}.${process.pid}.tmp`;
  let latest: EvaluationResult | undefined;
  let written: EvaluationResult | undefined;
  let lastWrite = Number.NEGATIVE_INFINITY;
  async function write(): Promise<void> {
    try {
      await writeFile(temporary, `${JSON.stringify(latest, undefined, 1)}\n`);
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    written = latest;
    lastWrite = performance.now();
  }
  return {
    async update(result: EvaluationResult, isLast = false): Promise<void> {
      latest = result;
      if (isLast || performance.now() - lastWrite >= writeIntervalMs) await write();
    },
    /** Writes what is not written yet. False when there is nothing at all. */
    async flush(): Promise<boolean> {
      if (latest !== undefined && latest !== written) await write();
      return latest !== undefined;
    },
  };
}

/** One sentence for each task and length that was left out, not one for each sample. */
function skippedSentences({ records }: EvaluationResult): string[] {
  const sentences = records.flatMap((record) =>
    record.kind === 'skipped' ? `${record.task} at ${record.length} tokens is left out: ${record.reason}` : [],
  );
  return [...new Map(sentences.map((sentence) => [sentence.split(':')[0], sentence])).values()];
}
