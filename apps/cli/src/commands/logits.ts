import { encodeFloats, type FloatTensor, sizeOfShape } from '@phiblocks/tensor';
import { writeSafetensorsFile } from '@phiblocks/weights/node';
import { Command } from 'commander';
import { expandImages, type ImageFlags, idsOption, imageOption, readImages } from '../images.ts';
import { type BackendOptions, backendOptions, loadForCommand, modelOption } from '../load-model.ts';
import { createInterrupt, createProgress } from '../terminal.ts';
import { type ImagePlace, UsageError } from '../usage-error.ts';

interface LogitsFlags extends BackendOptions, ImageFlags {
  readonly model: string;
  readonly prompt?: string;
  readonly ids?: (number | ImagePlace)[];
  readonly out: string;
  readonly hidden?: boolean;
}

export function logitsCommand(): Command {
  const command = new Command('logits')
    .description('write the logits at every position of a prompt as safetensors: `logits` [T, V], float32')
    .addOption(modelOption())
    .option('--prompt <text>', 'the prompt as text')
    .addOption(idsOption())
    .addOption(imageOption())
    .requiredOption('--out <file>', 'the safetensors file to write')
    .option('--hidden', 'also `hidden.0`, the embeddings, and `hidden.N`, the output of layer N - 1, each [T, C]');
  for (const option of backendOptions()) command.addOption(option);
  return command.action(logits);
}

async function logits(flags: LogitsFlags): Promise<void> {
  const { prompt, ids } = flags;
  if ((prompt === undefined) === (ids === undefined)) throw new UsageError('give exactly one of --prompt and --ids');
  const interrupt = createInterrupt();
  // Who asks for logits compares them: exact activations, whatever the time.
  const model = await loadForCommand(flags.model, flags, interrupt.signal, { activations: 'f32' });
  const session = model.createSession();
  const progress = createProgress('Computing');
  try {
    const hidden = new Map<string, FloatTensor[]>();
    const images = await readImages(flags);
    const counts = images.map((image) => model.numImageTokens(image));
    const tokens = ids ? expandImages(model, ids, images) : model.encodePrompt(prompt!, counts);
    const result = await session.advance(tokens, {
      images,
      logits: 'all',
      signal: interrupt.signal,
      onProgress: ({ done, total }) => progress.update(done, total),
      onTensor: async (name, handle) => {
        if (!flags.hidden || !name.startsWith('hidden.')) return;
        const part = await model.network.backend.read(handle);
        hidden.set(name, [...(hidden.get(name) ?? []), part]);
      },
    });
    const tensors = new Map([['logits', [result]], ...hidden]);
    await writeSafetensorsFile(
      flags.out,
      [...tensors].map(([name, parts]) => {
        const { data, shape } = joinRows(parts);
        return { name, dtype: 'F32', shape, bytes: () => encodeFloats(data, 'F32') };
      }),
    );
  } finally {
    progress.end();
    interrupt.release();
    session.dispose();
    await model.dispose();
  }
}

/** The rows of consecutive chunks of the prompt, one below the other. */
function joinRows(parts: readonly FloatTensor[]): FloatTensor {
  const width = parts[0]!.shape[1]!;
  const rows = parts.reduce((sum, part) => sum + part.shape[0]!, 0);
  const data = new Float32Array(sizeOfShape([rows, width]));
  let next = 0;
  for (const part of parts) {
    data.set(part.data, next);
    next += part.data.length;
  }
  return { data, shape: [rows, width] };
}
