import { type BlockSparsePattern, visibleBlocks } from '@phiblocks/block-sparse-attention';
import { attentionWeights } from '@phiblocks/gqa';
import { expectKnownOptions, type FloatTensor, Phi3Error, type TensorHandle } from '@phiblocks/tensor';
import type { ModelConfig } from '@phiblocks/weights';
import type { LanguageModel } from './language-model.ts';
import { blockSparsePatternOf, isDense } from './models/phi3-small.ts';
import { expectWholeNumber } from './sequence.ts';

/** Which attention {@link readAttention} reads. */
export interface ReadAttentionOptions {
  /** From 0 up. */
  readonly layer: number;
  /** Query head, from 0 up. Default: all. */
  readonly head?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * How much every token of a text looks at every token before it, in one layer: each row sums to 1. To look at and to teach
 * with; no backend keeps these numbers when it computes.
 *
 * The tokens are run once, in a session of their own, on the backend of the model. Its rotated queries and keys are read, and
 * the softmax is taken here, in float64, under the window or the blocks of the layer.
 *
 * @param ids - T tokens of text, the whole of it
 * @returns float32 `[H, T, T]`, `[1, T, T]` for one head: row q of a head is what token q looks at
 * @throws ArgumentError `ARGUMENT` for a layer or a head that the model does not have
 * @throws Phi3Error `UNSUPPORTED` for a model whose self-attention was replaced by one that does not show its queries and keys;
 * those of `Session.advance`; `OPTION_UNKNOWN`
 */
export async function readAttention(
  model: LanguageModel,
  ids: ArrayLike<number>,
  options: ReadAttentionOptions,
): Promise<FloatTensor> {
  const name = 'readAttention';
  expectKnownOptions(name, options, ['layer', 'head', 'signal']);
  const { layer, head, signal } = options;
  const { numHiddenLayers, numAttentionHeads: H, numKeyValueHeads: K, headDim: D } = model.config;
  expectWholeNumber(name, 'options.layer', layer, 0, numHiddenLayers - 1);
  if (head !== undefined) expectWholeNumber(name, 'options.head', head, 0, H - 1);

  const queries: Promise<FloatTensor>[] = []; // [T, H·D], chunk by chunk
  const keys: Promise<FloatTensor>[] = []; //    [T, K·D]
  const onTensor = async (tensor: string, handle: TensorHandle): Promise<void> => {
    const parts = tensor === `layers.${layer}.queries` ? queries : tensor === `layers.${layer}.keys` ? keys : undefined;
    if (!parts) return;
    const read = model.network.backend.read(handle);
    parts.push(read);
    await read;
  };
  const session = model.createSession();
  try {
    await session.advance(ids, { onTensor, signal });
  } finally {
    session.dispose();
  }
  if (queries.length === 0 || keys.length !== queries.length) {
    throw new Phi3Error({
      code: 'UNSUPPORTED',
      function: name,
      expected: `a self-attention that shows layers.${layer}.queries and layers.${layer}.keys`,
    });
  }

  const T = ids.length;
  const allQueries = await joined(queries, T * H * D);
  const allKeys = await joined(keys, T * K * D);
  const heads = head === undefined ? Array.from({ length: H }, (_, index) => index) : [head];
  const out = new Float32Array(heads.length * T * T);
  for (const [place, index] of heads.entries()) {
    const headQueries = takeColumns(allQueries, T, H * D, index * D, D);
    const headKeys = takeColumns(allKeys, T, K * D, Math.floor(index / (H / K)) * D, D);
    writeHead(
      headQueries,
      headKeys,
      D,
      ruleOf(model.config, layer, index),
      out.subarray(place * T * T, (place + 1) * T * T),
    );
  }
  return { data: out, shape: [heads.length, T, T] };
}

/** What a query of one head sees, and how it scores it. */
interface AttentionRule {
  readonly scale: number;
  readonly slidingWindow: number | undefined;
  readonly blocks: { readonly pattern: BlockSparsePattern; readonly head: number } | undefined;
}

/** As the forward pass of each class has it; a test holds the two together. */
function ruleOf(config: ModelConfig, layer: number, head: number): AttentionRule {
  if (config.modelType !== 'phi3small') {
    return { scale: 1 / Math.sqrt(config.headDim), slidingWindow: config.slidingWindow, blocks: undefined };
  }
  const scale = config.mupUseScaling ? config.mupAttnMultiplier / config.headDim : 1 / Math.sqrt(config.headDim);
  const blocks = isDense(config, layer) ? undefined : { pattern: blockSparsePatternOf(config), head };
  return { scale, slidingWindow: undefined, blocks };
}

/** One head: queries `[T, D]`, keys `[T, D]`, into `[T, T]`. */
function writeHead(queries: Float32Array, keys: Float32Array, D: number, rule: AttentionRule, out: Float32Array): void {
  const T = queries.length / D;
  const { scale, slidingWindow, blocks } = rule;
  for (let position = 0; position < T; position++) {
    const query = { data: queries.subarray(position * D, (position + 1) * D), shape: [1, D] };
    const seen = blocks ? positionsInBlocks(blocks, position) : undefined;
    const seenKeys = seen ? takeRows(keys, D, seen) : keys.subarray(0, (position + 1) * D);
    const { data } = attentionWeights({
      query,
      keys: { data: seenKeys, shape: [seenKeys.length / D, 1, D] },
      scale,
      slidingWindow,
    });
    for (let i = 0; i < data.length; i++) out[position * T + (seen ? seen[i]! : i)] = data[i]!;
  }
}

function positionsInBlocks({ pattern, head }: NonNullable<AttentionRule['blocks']>, position: number): number[] {
  const { blockSize } = pattern;
  const positions: number[] = [];
  for (const block of visibleBlocks(pattern, head, Math.floor(position / blockSize))) {
    const end = Math.min((block + 1) * blockSize, position + 1);
    for (let key = block * blockSize; key < end; key++) positions.push(key);
  }
  return positions;
}

async function joined(parts: readonly Promise<FloatTensor>[], size: number): Promise<Float32Array> {
  const out = new Float32Array(size);
  let next = 0;
  for (const { data } of await Promise.all(parts)) {
    out.set(data, next);
    next += data.length;
  }
  return out;
}

function takeColumns(data: Float32Array, rows: number, width: number, start: number, count: number): Float32Array {
  const out = new Float32Array(rows * count);
  for (let row = 0; row < rows; row++) {
    out.set(data.subarray(row * width + start, row * width + start + count), row * count);
  }
  return out;
}

function takeRows(data: Float32Array, width: number, rows: readonly number[]): Float32Array {
  const out = new Float32Array(rows.length * width);
  for (const [index, row] of rows.entries()) out.set(data.subarray(row * width, (row + 1) * width), index * width);
  return out;
}
