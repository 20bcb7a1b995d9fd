import { ArgumentError, expectKnownOptions, expectShape, type FloatTensor } from '@phiblocks/tensor';
import { expectFiniteScale, expectKeysAndValues, scoreKeys } from './grouped-query-attention.ts';
import { visibleKeyLimit, type WindowOptions } from './visible-keys.ts';

/** What {@link attentionWeights} works on. */
export interface AttentionWeightsOptions extends WindowOptions {
  /** `[H, D]`: one token's query heads, already rotated */
  readonly query: FloatTensor;
  /** `[S, K, D]`, already rotated */
  readonly keys: FloatTensor;
  /** Multiplies query · key before the softmax. */
  readonly scale: number;
  /** Position of the query; S - 1 when absent. */
  readonly position?: number | undefined;
}

/**
 * How much one query looks at each key: the softmax that `groupedQueryAttention` never writes down. To look at and to
 * teach with; a row per head, each summing to 1, 0 for keys that the query does not see.
 *
 * @param options - query, keys, scale and window
 * @returns float32 `[H, S]`
 * @throws ShapeError `SHAPE` when shapes disagree or K does not divide H
 * @throws ArgumentError `ARGUMENT` for a scale that is not finite, a position without a key or a window below 1
 * @throws Phi3Error `OPTION_UNKNOWN`
 * @example
 * const query = { data: Float32Array.of(1), shape: [1, 1] };
 * const keys = { data: Float32Array.of(7, 0, Math.log(3)), shape: [3, 1, 1] };
 * attentionWeights({ query, keys, scale: 1, slidingWindow: 2 }).data; // => [0, 0.25, 0.75]
 */
export function attentionWeights(options: AttentionWeightsOptions): FloatTensor {
  const name = 'attentionWeights';
  expectKnownOptions(name, options, ['query', 'keys', 'scale', 'position', 'slidingWindow', 'windowBound']);
  const { query, keys, scale } = options;
  expectShape(query, [null, null], { function: name, argument: 'options.query' });
  const [numHeads, headDim] = query.shape as [number, number];
  const numKeys = expectKeysAndValues(name, numHeads, headDim, keys);
  const position = options.position ?? numKeys - 1;
  if (!Number.isSafeInteger(position) || position < 0 || position >= numKeys) {
    throw new ArgumentError({
      function: name,
      argument: 'options.position',
      expected: `the position of one of the ${numKeys} keys`,
      got: position,
    });
  }
  expectFiniteScale(name, scale);
  const firstKey = Math.max(0, position + 1 - visibleKeyLimit(name, options));

  const numKeyValueHeads = keys.shape[1]!;
  const groupSize = numHeads / numKeyValueHeads;
  const rowLength = numKeyValueHeads * headDim;
  const numVisible = position + 1 - firstKey;
  const weights = new Float32Array(numHeads * numKeys);
  const scores = new Float64Array(numVisible);
  for (let h = 0; h < numHeads; h++) {
    const scaled = Float64Array.from(query.data.subarray(h * headDim, (h + 1) * headDim), (x) => x * scale);
    const offset = firstKey * rowLength + Math.floor(h / groupSize) * headDim;
    scoreKeys(scaled, keys.data, offset, rowLength, numVisible, scores);
    const largest = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    let total = 0;
    for (let j = 0; j < numVisible; j++) {
      scores[j] = Math.exp(scores[j]! - largest);
      total += scores[j]!;
    }
    for (let j = 0; j < numVisible; j++) weights[h * numKeys + firstKey + j] = scores[j]! / total;
  }
  return { data: weights, shape: [numHeads, numKeys] };
}
