import {
  ArgumentError,
  type BlockSparsePattern,
  expectKnownOptions,
  expectShape,
  type FloatTensor,
  ShapeError,
} from '@phiblocks/tensor';
import type { BlockSparseLayout } from './layout.ts';
import { expectPattern, expectWholeNumber } from './pattern.ts';
import { numDistinctHeads, writeVisibleBlocks } from './visible-blocks.ts';

/** What {@link blockSparseAttention} works on. T new tokens, S tokens so far, H query heads, K key/value heads, D headDim. */
export interface BlockSparseAttentionOptions {
  /** `[T, H, D]`, already rotated */
  readonly queries: FloatTensor;
  /** `[S, K, D]`, already rotated; K divides H */
  readonly keys: FloatTensor;
  /** `[S, K, D]` */
  readonly values: FloatTensor;
  /** Multiplies query · key before the softmax; 1 / D in Phi-3-small, not 1 / sqrt(D). */
  readonly scale: number;
  /** Which blocks are seen. Give this or `layout`. */
  readonly pattern?: BlockSparsePattern | undefined;
  /** Lists built before, by `createBlockSparseLayout` or by hand; may be longer than needed. */
  readonly layout?: BlockSparseLayout | undefined;
  /** Row of `keys` that belongs to the first query; S - T when absent. */
  readonly queryStart?: number | undefined;
  /** Rows of `keys` before the first real token. Positions count from there, padding is not seen. Default 0. */
  readonly leftPadding?: number | undefined;
  /** `[T, H, D]`; may be `queries`; allocated when absent */
  readonly out?: FloatTensor | undefined;
}

/**
 * Causal attention that computes only the blocks that are present, for prompts and for single tokens. Query head h reads
 * key/value head `floor(h / (H / K))`; which blocks it sees depends on h itself.
 *
 * The softmax is taken online, block by block with a running maximum: no mask and no matrix of scores exists, and keys of
 * blocks that are not seen are never read. Sums are float64 and rounded once. A query at a padding row gives zeros.
 *
 * Source: Phi-3 technical report, arXiv:2404.14219 §2; the code published with Phi-3-small; online softmax,
 * arXiv:1805.02867 §3.
 *
 * @param options - the tensors, the scale, and a pattern or a layout
 * @returns `out`, float32 `[T, H, D]`
 * @throws ShapeError `SHAPE` when shapes disagree, K does not divide H, T is larger than S, or the layout has other heads
 * @throws ArgumentError `ARGUMENT` for a scale that is not finite, a query row without a key, both or neither of pattern
 * and layout, a layout that is too short or lists what no query may see, or an `out` that shares memory with keys or values
 * @throws Phi3Error `OPTION_UNKNOWN`
 * @example
 * const heads = (...data) => ({ data: Float32Array.from(data), shape: [data.length, 1, 1] });
 * const pattern = createBlockSparsePattern({ blockSize: 1, numLocalBlocks: 1, verticalStride: 2, numHeads: 1 });
 * const queries = heads(0), keys = heads(0, 0, 0, 0, 0), values = heads(2, 4, 8, 16, 32);
 * // Query 4 sees block 4 itself, and of the past blocks 1 and 3.
 * blockSparseAttention({ queries, keys, values, scale: 1, pattern }).data; // => [(4 + 16 + 32) / 3]
 */
export function blockSparseAttention(options: BlockSparseAttentionOptions): FloatTensor {
  const name = 'blockSparseAttention';
  expectKnownOptions(name, options, [
    'queries',
    'keys',
    'values',
    'scale',
    'pattern',
    'layout',
    'queryStart',
    'leftPadding',
    'out',
  ]);
  const { queries, keys, values, scale, pattern, layout, leftPadding = 0 } = options;
  expectShape(queries, [null, null, null], { function: name, argument: 'options.queries' });
  const [numQueries, numHeads, headDim] = queries.shape as [number, number, number];
  expectShape(keys, [null, null, headDim], { function: name, argument: 'options.keys' });
  const [numKeys, numKeyValueHeads] = keys.shape as [number, number, number];
  expectShape(values, keys.shape, { function: name, argument: 'options.values' });
  if (numKeyValueHeads === 0 ? numHeads !== 0 : numHeads % numKeyValueHeads !== 0) {
    throw new ShapeError({
      function: name,
      argument: 'options.keys',
      expected: `a number of key/value heads that divides the ${numHeads} query heads`,
      got: numKeyValueHeads,
    });
  }
  if (numQueries > numKeys) {
    throw new ShapeError({
      function: name,
      argument: 'options.queries',
      expected: `at most ${numKeys} queries, one for each key`,
      got: numQueries,
    });
  }
  const queryStart = options.queryStart ?? numKeys - numQueries;
  expectUpTo(name, 'options.queryStart', queryStart, numKeys - numQueries);
  expectUpTo(name, 'options.leftPadding', leftPadding, numKeys);
  if (!Number.isFinite(scale)) {
    throw new ArgumentError({ function: name, argument: 'options.scale', expected: 'a finite number', got: scale });
  }
  const lists = blockListsOf(name, pattern, layout, numHeads, numKeys - leftPadding);
  const out = options.out ?? { data: new Float32Array(queries.data.length), shape: queries.shape };
  expectShape(out, queries.shape, { function: name, argument: 'options.out' });
  expectApart(name, out.data, queries.data, true);
  expectApart(name, out.data, keys.data, false);
  expectApart(name, out.data, values.data, false);

  const { blockSize } = lists;
  const groupSize = numHeads / numKeyValueHeads;
  const rowLength = numKeyValueHeads * headDim;
  const query = new Float64Array(headDim); // scaled once, and safe from an out that is the queries
  const sums = new Float64Array(headDim);
  const scores = new Float64Array(Math.min(blockSize, numKeys));
  const firstReal = Math.max(0, leftPadding - queryStart);
  out.data.fill(0, 0, Math.min(firstReal, numQueries) * numHeads * headDim);
  // Query by query block, so that one list serves all queries of the block and all heads that share it.
  let t = firstReal;
  while (t < numQueries) {
    const queryBlock = Math.floor((queryStart + t - leftPadding) / blockSize);
    const end = Math.min(numQueries, (queryBlock + 1) * blockSize + leftPadding - queryStart);
    for (let distinct = 0; distinct < lists.numDistinctHeads; distinct++) {
      lists.select(distinct, queryBlock);
      for (let h = distinct; h < numHeads; h += lists.numDistinctHeads) {
        const headOffset = Math.floor(h / groupSize) * headDim;
        for (let row = t; row < end; row++) {
          const offset = (row * numHeads + h) * headDim;
          for (let d = 0; d < headDim; d++) query[d] = queries.data[offset + d]! * scale;
          const keysStart = leftPadding * rowLength + headOffset;
          const position = queryStart + row - leftPadding;
          attend(query, keys.data, values.data, keysStart, rowLength, lists, position, scores, sums);
          for (let d = 0; d < headDim; d++) out.data[offset + d] = sums[d]!;
        }
      }
    }
    t = end;
  }
  return out;
}

/** The list of one query block of one head at a time, from a layout or, without one, from a pattern. */
interface BlockLists {
  readonly blockSize: number;
  readonly numDistinctHeads: number;
  /** The selected list is `blocks[start]` to `blocks[end - 1]`. */
  blocks: Int32Array;
  start: number;
  end: number;
  select(distinctHead: number, queryBlock: number): void;
}

function blockListsOf(
  name: string,
  pattern: BlockSparsePattern | undefined,
  layout: BlockSparseLayout | undefined,
  numHeads: number,
  length: number,
): BlockLists {
  if ((pattern === undefined) === (layout === undefined)) {
    throw new ArgumentError({
      function: name,
      argument: 'options.pattern',
      expected: 'either pattern or layout',
      got: pattern === undefined ? 'neither' : 'both',
    });
  }
  if (layout !== undefined) return listsOfLayout(name, layout, numHeads, length);
  expectPattern(name, 'options.pattern', pattern!);
  return {
    blockSize: pattern!.blockSize,
    numDistinctHeads: numDistinctHeads(pattern!, numHeads),
    blocks: new Int32Array(Math.ceil(length / pattern!.blockSize)),
    start: 0,
    end: 0,
    select(distinctHead, queryBlock) {
      this.end = writeVisibleBlocks(pattern!, distinctHead, queryBlock, this.blocks, 0);
    },
  };
}

function listsOfLayout(name: string, layout: BlockSparseLayout, numHeads: number, length: number): BlockLists {
  const { blockSize, numBlocks, numDistinctHeads: numDistinct, listStarts, keyBlocks } = layout;
  expectWholeNumber(name, 'options.layout.blockSize', blockSize, 1);
  expectWholeNumber(name, 'options.layout.numDistinctHeads', numDistinct, 1);
  if (layout.numHeads !== numHeads || listStarts.length !== numDistinct * numBlocks + 1) {
    throw new ShapeError({
      function: name,
      argument: 'options.layout',
      expected: `a layout for ${numHeads} heads with a list for each block`,
      got: `${layout.numHeads} heads and ${listStarts.length} list starts`,
    });
  }
  if (numBlocks * blockSize < length) {
    throw new ArgumentError({
      function: name,
      argument: 'options.layout',
      expected: `a layout of at least ${length} tokens`,
      got: numBlocks * blockSize,
    });
  }
  return {
    blockSize,
    numDistinctHeads: numDistinct,
    blocks: keyBlocks,
    start: 0,
    end: 0,
    select(distinctHead, queryBlock) {
      this.start = listStarts[distinctHead * numBlocks + queryBlock]!;
      this.end = listStarts[distinctHead * numBlocks + queryBlock + 1]!;
      // Layouts are plain values that a caller may have made by hand. An empty list would divide by zero, a block of the
      // future would break causality.
      let before = -1;
      let fits = this.start >= 0 && this.start < this.end && this.end <= keyBlocks.length;
      for (let i = this.start; fits && i < this.end; i++) {
        fits = keyBlocks[i]! > before && keyBlocks[i]! <= queryBlock;
        before = keyBlocks[i]!;
      }
      if (!fits) {
        throw new ArgumentError({
          function: name,
          argument: 'options.layout',
          expected: `ascending key blocks up to ${queryBlock} for query block ${queryBlock} of head ${distinctHead}`,
          got: keyBlocks.slice(this.start, this.end),
        });
      }
    },
  };
}

/**
 * One query head over the selected blocks: `sums` becomes Σ exp(s_j) v_j / Σ exp(s_j) with s_j = query · key j.
 *
 * Everything is kept relative to the largest score seen so far. When a block has a larger one, what was summed until then
 * shrinks by exp(old - new).
 */
function attend(
  query: Float64Array,
  keys: Float32Array,
  values: Float32Array,
  keysStart: number,
  rowLength: number,
  lists: BlockLists,
  position: number,
  scores: Float64Array,
  sums: Float64Array,
): void {
  const { blocks, start, end, blockSize } = lists;
  const headDim = query.length;
  let largest = Number.NEGATIVE_INFINITY;
  let total = 0;
  sums.fill(0);
  for (let i = start; i < end; i++) {
    const firstKey = blocks[i]! * blockSize;
    // Only the query's own block ends early: at the query itself.
    const count = Math.min(blockSize, position + 1 - firstKey);
    const offset = keysStart + firstKey * rowLength;
    const blockLargest = scoreKeys(query, keys, offset, rowLength, count, scores);
    if (blockLargest > largest) {
      const shrink = Math.exp(largest - blockLargest); // 0 for the first block
      total *= shrink;
      for (let d = 0; d < headDim; d++) sums[d] *= shrink;
      largest = blockLargest;
    }
    for (let j = 0; j < count; j++) {
      scores[j] = Math.exp(scores[j]! - largest);
      total += scores[j]!;
    }
    addWeightedValues(scores, values, offset, rowLength, count, sums);
  }
  for (let d = 0; d < headDim; d++) sums[d] /= total;
}

/** `scores[j] = query · key j` for `count` keys from `offset` on; returns the largest. */
function scoreKeys(
  query: Float64Array,
  keys: Float32Array,
  offset: number,
  rowLength: number,
  count: number,
  scores: Float64Array,
): number {
  const headDim = query.length;
  let largest = Number.NEGATIVE_INFINITY;
  let j = 0;
  // Four keys at a time read the query once for all four, and keep four sums that do not wait for each other.
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
    largest = Math.max(largest, score0, score1, score2, score3);
  }
  for (; j < count; j++) {
    const row = offset + j * rowLength;
    let score = 0;
    for (let d = 0; d < headDim; d++) score += query[d]! * keys[row + d]!;
    scores[j] = score;
    largest = Math.max(largest, score);
  }
  return largest;
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

function expectUpTo(functionName: string, argument: string, value: number, largest: number): void {
  if (!Number.isInteger(value) || value < 0 || value > largest) {
    throw new ArgumentError({
      function: functionName,
      argument,
      expected: `a whole number from 0 to ${largest}`,
      got: value,
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
