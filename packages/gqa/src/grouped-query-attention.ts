import { ArgumentError, expectKnownOptions, expectShape, type FloatTensor, ShapeError } from '@phiblocks/tensor';
import { visibleKeyLimit, type WindowOptions } from './visible-keys.ts';

/** What {@link groupedQueryAttention} works on. T new tokens, S tokens so far, H query heads, K key/value heads, D headDim. */
export interface GroupedQueryAttentionOptions extends WindowOptions {
  /** `[T, H, D]`, already rotated */
  readonly queries: FloatTensor;
  /** `[S, K, D]`, already rotated; K divides H. `cache.keys(layer)` gives it. */
  readonly keys: FloatTensor;
  /** `[S, K, D]` */
  readonly values: FloatTensor;
  /** Multiplies query · key before the softmax; `1 / sqrt(D)` for all members but Phi-3-small. */
  readonly scale: number;
  /** Position of the first query; S - T when absent: the queries belong to the last keys. */
  readonly queryStart?: number | undefined;
  /** `[T, H, D]`; may be `queries`; allocated when absent */
  readonly out?: FloatTensor | undefined;
}

/**
 * Causal attention in which groups of H / K query heads share a key/value head: query head h reads key/value head
 * `floor(h / (H / K))`. K = H is multi-head attention, K = 1 multi-query attention.
 *
 * The softmax is taken online: one pass over the visible keys, 64 at a time, with a running maximum, so that no S × S
 * matrix exists and keys outside the window are never touched. Sums are float64 and rounded once at the end.
 *
 * Source: Attention Is All You Need, arXiv:1706.03762 §3.2; GQA, arXiv:2305.13245 §2.2; online softmax,
 * arXiv:1805.02867 §3; FlashAttention, arXiv:2205.14135 §3.1; sliding window, arXiv:2310.06825 §2.
 *
 * @param options - the tensors, the scale and the window
 * @returns `out`, float32 `[T, H, D]`
 * @throws ShapeError `SHAPE` when shapes disagree, K does not divide H, or T is larger than S
 * @throws ArgumentError `ARGUMENT` for a scale that is not finite, a query position without a key, a window below 1, or an
 * `out` that shares memory with the keys or the values
 * @throws Phi3Error `OPTION_UNKNOWN`
 * @example
 * const heads = (...data) => ({ data: Float32Array.from(data), shape: [data.length, 1, 1] });
 * const queries = heads(0, 0), keys = heads(5, 6), values = heads(1, 3);
 * groupedQueryAttention({ queries, keys, values, scale: 1 }).data; // => [1, 2]
 */
export function groupedQueryAttention(options: GroupedQueryAttentionOptions): FloatTensor {
  const name = 'groupedQueryAttention';
  expectKnownOptions(name, options, [
    'queries',
    'keys',
    'values',
    'scale',
    'queryStart',
    'slidingWindow',
    'windowBound',
    'out',
  ]);
  const { queries, keys, values, scale } = options;
  expectShape(queries, [null, null, null], { function: name, argument: 'options.queries' });
  const [numQueries, numHeads, headDim] = queries.shape as [number, number, number];
  const numKeys = expectKeysAndValues(name, numHeads, headDim, keys, values);
  const queryStart = options.queryStart ?? numKeys - numQueries;
  if (numQueries > numKeys) {
    throw new ShapeError({
      function: name,
      argument: 'options.queries',
      expected: `at most ${numKeys} queries, one for each key`,
      got: numQueries,
    });
  }
  if (!Number.isSafeInteger(queryStart) || queryStart < 0 || queryStart > numKeys - numQueries) {
    throw new ArgumentError({
      function: name,
      argument: 'options.queryStart',
      expected: `a whole number from 0 to ${numKeys - numQueries}, so that every query has its own key`,
      got: queryStart,
    });
  }
  expectFiniteScale(name, scale);
  const visibleKeys = visibleKeyLimit(name, options);
  const out = options.out ?? { data: new Float32Array(queries.data.length), shape: queries.shape };
  expectShape(out, queries.shape, { function: name, argument: 'options.out' });
  expectApart(name, out.data, queries.data, true);
  expectApart(name, out.data, keys.data, false);
  expectApart(name, out.data, values.data, false);

  const numKeyValueHeads = keys.shape[1]!;
  const groupSize = numHeads / numKeyValueHeads;
  const query = new Float64Array(headDim); // scaled once, and safe from an out that is the queries
  const sums = new Float64Array(headDim);
  const tile = new Float64Array(tileLength);
  for (let t = 0; t < numQueries; t++) {
    const position = queryStart + t;
    const firstKey = Math.max(0, position + 1 - visibleKeys);
    for (let h = 0; h < numHeads; h++) {
      const offset = (t * numHeads + h) * headDim;
      for (let d = 0; d < headDim; d++) query[d] = queries.data[offset + d]! * scale;
      const keyValueHead = Math.floor(h / groupSize);
      attend(
        query,
        keys.data,
        values.data,
        keyValueHead * headDim,
        numKeyValueHeads * headDim,
        firstKey,
        position,
        tile,
        sums,
      );
      for (let d = 0; d < headDim; d++) out.data[offset + d] = sums[d]!;
    }
  }
  return out;
}

/** Keys that are scored before their values are added: enough to seldom move the maximum, few enough to stay in the cache. */
const tileLength = 64;

/**
 * One query head over the keys `first` to `last`: `sums` becomes Σ exp(s_j) v_j / Σ exp(s_j) with s_j = query · key j.
 *
 * Everything is kept relative to the largest score seen so far. When a tile has a larger one, what was summed until then
 * shrinks by exp(old - new).
 */
function attend(
  query: Float64Array,
  keys: Float32Array,
  values: Float32Array,
  headOffset: number,
  rowLength: number,
  first: number,
  last: number,
  tile: Float64Array,
  sums: Float64Array,
): void {
  const headDim = query.length;
  let largest = Number.NEGATIVE_INFINITY;
  let total = 0;
  sums.fill(0);
  for (let start = first; start <= last; start += tileLength) {
    const count = Math.min(tileLength, last + 1 - start);
    const offset = start * rowLength + headOffset;
    scoreKeys(query, keys, offset, rowLength, count, tile);
    let tileLargest = largest;
    for (let j = 0; j < count; j++) if (tile[j]! > tileLargest) tileLargest = tile[j]!;
    if (tileLargest > largest) {
      const shrink = Math.exp(largest - tileLargest); // 0 for the first tile
      total *= shrink;
      for (let d = 0; d < headDim; d++) sums[d] *= shrink;
      largest = tileLargest;
    }
    for (let j = 0; j < count; j++) {
      tile[j] = Math.exp(tile[j]! - largest);
      total += tile[j]!;
    }
    addWeightedValues(tile, values, offset, rowLength, count, sums);
  }
  for (let d = 0; d < headDim; d++) sums[d] /= total;
}

/**
 * `scores[j] = query · key j` for `count` keys; key j starts at `offset + j · rowLength`. Four keys at a time read the
 * query once for all four, and keep four sums that do not wait for each other.
 */
export function scoreKeys(
  query: Float64Array,
  keys: Float32Array,
  offset: number,
  rowLength: number,
  count: number,
  scores: Float64Array,
): void {
  const headDim = query.length;
  let j = 0;
  for (; j + 4 <= count; j += 4) {
    const row0 = offset + j * rowLength;
    const row1 = row0 + rowLength;
    const row2 = row1 + rowLength;
    const row3 = row2 + rowLength;
    let score0 = 0;
    let score1 = 0;
    let score2 = 0;
    let score3 = 0;
    for (let d = 0; d < headDim; d++) {
      const q = query[d]!;
      score0 += q * keys[row0 + d]!;
      score1 += q * keys[row1 + d]!;
      score2 += q * keys[row2 + d]!;
      score3 += q * keys[row3 + d]!;
    }
    scores[j] = score0;
    scores[j + 1] = score1;
    scores[j + 2] = score2;
    scores[j + 3] = score3;
  }
  for (; j < count; j++) {
    const row = offset + j * rowLength;
    let score = 0;
    for (let d = 0; d < headDim; d++) score += query[d]! * keys[row + d]!;
    scores[j] = score;
  }
}

/** `sums += Σ weights[j] · value j`, four values at a time likewise. */
function addWeightedValues(
  weights: Float64Array,
  values: Float32Array,
  offset: number,
  rowLength: number,
  count: number,
  sums: Float64Array,
): void {
  const headDim = sums.length;
  let j = 0;
  for (; j + 4 <= count; j += 4) {
    const row0 = offset + j * rowLength;
    const row1 = row0 + rowLength;
    const row2 = row1 + rowLength;
    const row3 = row2 + rowLength;
    const weight0 = weights[j]!;
    const weight1 = weights[j + 1]!;
    const weight2 = weights[j + 2]!;
    const weight3 = weights[j + 3]!;
    for (let d = 0; d < headDim; d++) {
      sums[d] +=
        weight0 * values[row0 + d]! +
        weight1 * values[row1 + d]! +
        (weight2 * values[row2 + d]! + weight3 * values[row3 + d]!);
    }
  }
  for (; j < count; j++) {
    const row = offset + j * rowLength;
    const weight = weights[j]!;
    for (let d = 0; d < headDim; d++) sums[d] += weight * values[row + d]!;
  }
}

/** Checks `[S, K, D]` twice and that K divides H; returns S. */
export function expectKeysAndValues(
  functionName: string,
  numHeads: number,
  headDim: number,
  keys: FloatTensor,
  values: FloatTensor = keys,
): number {
  expectShape(keys, [null, null, headDim], { function: functionName, argument: 'options.keys' });
  const [numKeys, numKeyValueHeads] = keys.shape as [number, number, number];
  if (numKeyValueHeads === 0 ? numHeads !== 0 : numHeads % numKeyValueHeads !== 0) {
    throw new ShapeError({
      function: functionName,
      argument: 'options.keys',
      expected: `a number of key/value heads that divides the ${numHeads} query heads`,
      got: numKeyValueHeads,
    });
  }
  expectShape(values, [numKeys, numKeyValueHeads, headDim], { function: functionName, argument: 'options.values' });
  return numKeys;
}

export function expectFiniteScale(functionName: string, scale: number): void {
  if (!Number.isFinite(scale)) {
    throw new ArgumentError({
      function: functionName,
      argument: 'options.scale',
      expected: 'a finite number',
      got: scale,
    });
  }
}

/** Rejects an `out` that would destroy what is still to be read: shared memory, unless it is the very same array. */
function expectApart(functionName: string, out: Float32Array, input: Float32Array, mayBeSame: boolean): void {
  if (out.buffer !== input.buffer || (mayBeSame && out.byteOffset === input.byteOffset)) return;
  if (out.byteOffset < input.byteOffset + input.byteLength && input.byteOffset < out.byteOffset + out.byteLength) {
    throw new ArgumentError({
      function: functionName,
      argument: 'options.out',
      expected: 'queries itself or memory apart from queries, keys and values',
      got: 'memory that overlaps one of them',
    });
  }
}
