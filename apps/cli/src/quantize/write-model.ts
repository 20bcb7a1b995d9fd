import { copyFile, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { chooseFormat, type FormatChoice } from '@phiblocks/quantization';
import { Phi3Error, type WeightFormat } from '@phiblocks/tensor';
import {
  type GgufTensorToWrite,
  type SafetensorsDtype,
  type TensorToWrite,
  weightSizeInBytes,
} from '@phiblocks/weights';
import { writeGgufFile, writeSafetensorsFile } from '@phiblocks/weights/node';
import { createProgress } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';
import { convertTensor } from './convert-tensor.ts';
import type { ModelSource, SourceTensor } from './model-source.ts';
import type { RowConverter } from './row-converters.ts';
import type { Target } from './targets.ts';

/** What became of a model. */
export interface WrittenModel {
  readonly sizeInBytes: number;
  readonly choices: readonly FormatChoice[];
  /** Root of the mean squared difference over all weights of matrices. */
  readonly rmse: number;
  readonly bitsPerWeight: number;
}

export interface WriteOptions {
  /** Importance of the columns by checkpoint name. */
  readonly importance: ReadonlyMap<string, Float32Array>;
  readonly signal: AbortSignal;
  /** The threads that convert. */
  readonly converters: readonly RowConverter[];
}

interface PlannedTensor {
  /** One, or the experts of a layer in order: GGUF has them in one tensor `[experts, out, in]`. */
  readonly sources: readonly SourceTensor[];
  readonly name: string;
  readonly shape: readonly number[];
  readonly choice: FormatChoice;
  readonly numWeights: number;
}

/** Writes a model in the formats of a target: a GGUF file where the path ends in `.gguf`, else a checkpoint directory. */
export async function writeModel(
  source: ModelSource,
  target: Target,
  out: string,
  options: WriteOptions,
): Promise<WrittenModel> {
  const isGguf = isGgufPath(out);
  const plan = planTensors(source, target, isGguf);
  const totals = { squaredError: 0, weights: 0, done: 0 };
  const allWeights = plan.reduce((sum, { numWeights }) => sum + numWeights, 0);
  const progress = createProgress(`Quantizing to ${target.label}`);
  const convert = async ({ stored, checkpointName }: SourceTensor, format: WeightFormat): Promise<Uint8Array> => {
    const { bytes, squaredError } = await convertTensor(source.weights, stored, format, {
      importance: checkpointName === undefined ? undefined : options.importance.get(checkpointName),
      signal: options.signal,
      converters: options.converters,
      onProgress(weights) {
        totals.done += weights;
        progress.update(totals.done, allWeights);
      },
    });
    if (stored.shape.length >= 2) {
      totals.squaredError += squaredError;
      totals.weights += stored.shape.reduce((product, size) => product * size, 1);
    }
    return bytes;
  };
  const bytesOf =
    ({ sources, shape, choice }: PlannedTensor) =>
    async (): Promise<Uint8Array> => {
      if (sources.length === 1) return convert(sources[0]!, choice.format);
      const whole = new Uint8Array(weightSizeInBytes(choice.format, shape));
      let next = 0;
      for (const expert of sources) {
        const bytes = await convert(expert, choice.format);
        whole.set(bytes, next);
        next += bytes.length;
      }
      return whole;
    };
  try {
    const sizeInBytes = isGguf
      ? await writeGguf(source, target, out, plan, bytesOf)
      : await writeDirectory(source, target, out, plan, bytesOf);
    const tensorBytes = plan.reduce((sum, { shape, choice }) => sum + weightSizeInBytes(choice.format, shape), 0);
    return {
      sizeInBytes,
      choices: plan.map(({ choice }) => choice),
      rmse: totals.weights === 0 ? 0 : Math.sqrt(totals.squaredError / totals.weights),
      bitsPerWeight: (8 * tensorBytes) / allWeights,
    };
  } finally {
    progress.end();
  }
}

export const isGgufPath = (path: string): boolean => path.toLowerCase().endsWith('.gguf');

/** @throws Phi3Error `FILE_EXISTS` */
export async function expectFree(out: string, force: boolean): Promise<void> {
  const found = await stat(out).catch(() => undefined);
  if (found === undefined || (force && found.isFile() && isGgufPath(out))) return;
  throw new Phi3Error({
    code: 'FILE_EXISTS',
    function: 'quantize',
    expected: 'a name that is free',
    got: out,
    where: { file: out },
    hint: found.isDirectory() ? 'A directory is never replaced' : 'Give --force to replace it',
  });
}

function planTensors(source: ModelSource, target: Target, isGguf: boolean): PlannedTensor[] {
  const byName = new Map<string, SourceTensor[]>();
  for (const tensor of source.tensors) {
    const name = isGguf ? tensor.ggufName : tensor.stored.name;
    if (name !== undefined) byName.set(name, [...(byName.get(name) ?? []), tensor]);
  }
  return [...byName].map(([name, found]) => {
    const sources = found.sort((a, b) => (a.expert ?? 0) - (b.expert ?? 0));
    const { shape: one } = sources[0]!.stored;
    const shape = sources[0]!.expert === undefined || !isGguf ? one : [sources.length, ...one];
    const layer = /^(?:blk|model\.layers)\.(\d+)\./.exec(name)?.[1];
    // A tied embedding is the output matrix, and gets its bits, as in llama.cpp.
    const role = source.isTied && name === 'token_embd.weight' ? 'output.weight' : name;
    const layerIndex = layer === undefined ? undefined : Number(layer);
    const chosen = chooseFormat(target.recipe, role, shape, layerIndex, source.numLayers);
    const numWeights = shape.reduce((product, size) => product * size, 1);
    return { sources, name, shape, choice: { ...chosen, tensor: name }, numWeights };
  });
}

type BytesOf = (planned: PlannedTensor) => () => Promise<Uint8Array>;

async function writeGguf(
  source: ModelSource,
  target: Target,
  out: string,
  plan: readonly PlannedTensor[],
  bytesOf: BytesOf,
): Promise<number> {
  const { metadata, tensors: extra } = await source.ggufMetadata(target.label);
  const tensors = plan.map((planned): GgufTensorToWrite => {
    const { name, choice, shape } = planned;
    return { name, format: choice.format, shape, bytes: bytesOf(planned) };
  });
  return writeGgufFile(out, { metadata, tensors: [...extra, ...tensors] });
}

/** Everything but weights that a checkpoint may hold, and that stays true when the format changes. */
const descriptions = [
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'tokenizer.model',
  'added_tokens.json',
  'special_tokens_map.json',
  'chat_template.jinja',
  'preprocessor_config.json',
];

async function writeDirectory(
  source: ModelSource,
  target: Target,
  out: string,
  plan: readonly PlannedTensor[],
  bytesOf: BytesOf,
): Promise<number> {
  if (source.kind !== 'directory') throw new UsageError('a .gguf model is written as .gguf, not as a directory');
  const folder = resolve(out);
  // Beside the target, so that it appears whole by one rename.
  const temporary = join(dirname(folder), `.${basename(folder)}.${crypto.randomUUID()}.tmp`);
  await mkdir(temporary);
  try {
    const tensors = plan.map((planned): TensorToWrite => {
      const { name, choice, shape } = planned;
      const dtype = choice.format as SafetensorsDtype; // float formats only; the command line sees to it
      return { name, dtype, shape, bytes: bytesOf(planned) };
    });
    const options = { metadata: { format: 'pt' } };
    const sizeInBytes = await writeSafetensorsFile(join(temporary, 'model.safetensors'), tensors, options);
    const config = await readFile(join(source.path, 'config.json'), 'utf8');
    await writeFile(join(temporary, 'config.json'), withDtype(config, target));
    for (const name of descriptions) {
      await copyFile(join(source.path, name), join(temporary, name)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
    }
    await rename(temporary, folder);
    return sizeInBytes;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** Changes what `config.json` says of the dtype and leaves every other character alone. */
function withDtype(config: string, { format }: Target): string {
  const name = format === 'F32' ? 'float32' : format === 'F16' ? 'float16' : 'bfloat16';
  return config.replace(/("(?:torch_)?dtype"\s*:\s*)"\w+"/g, `$1"${name}"`);
}
