import type { BlockSparsePattern } from '@phiblocks/tensor';
import { expectPattern, expectWholeNumber } from './pattern.ts';

/**
 * The key blocks that a query block sees under one head, in ascending order: the vertical blocks of the past, then the
 * local ones up to the query's own. Inside its own block a query sees the keys up to itself.
 *
 * Source: `qb - kb < numLocalBlocks or (kb + head · headStep + 1) mod verticalStride = 0`, the code published with
 * Phi-3-small.
 *
 * @param pattern - from `createBlockSparsePattern`
 * @param head - query head, also where key/value heads are shared
 * @param queryBlock - position of the query divided by the block size, rounded down
 * @throws ArgumentError `ARGUMENT` for a pattern, a head or a block that is none
 * @example
 * const pattern = createBlockSparsePattern({ blockSize: 64, numLocalBlocks: 2, verticalStride: 3, numHeads: 3 });
 * visibleBlocks(pattern, 0, 8); // => [2, 5, 7, 8]
 * visibleBlocks(pattern, 2, 8); // => [0, 3, 6, 7, 8]
 */
export function visibleBlocks(pattern: BlockSparsePattern, head: number, queryBlock: number): Int32Array {
  expectPattern('visibleBlocks', 'pattern', pattern);
  expectWholeNumber('visibleBlocks', 'head', head, 0);
  expectWholeNumber('visibleBlocks', 'queryBlock', queryBlock, 0);
  const blocks = new Int32Array(countVisibleBlocks(pattern, head, queryBlock));
  writeVisibleBlocks(pattern, head, queryBlock, blocks, 0);
  return blocks;
}

/** The lowest vertical block of a head; the others follow at steps of `verticalStride`. */
export function firstVerticalBlock({ verticalStride, headStep }: BlockSparsePattern, head: number): number {
  // Both factors are reduced first, so that the product stays exact.
  const shift = ((head % verticalStride) * (headStep % verticalStride) + 1) % verticalStride;
  return (verticalStride - shift) % verticalStride;
}

/** How many blocks {@link visibleBlocks} lists. */
export function countVisibleBlocks(pattern: BlockSparsePattern, head: number, queryBlock: number): number {
  const firstLocal = Math.max(0, queryBlock - pattern.numLocalBlocks + 1);
  const firstVertical = firstVerticalBlock(pattern, head);
  const numVertical =
    firstLocal > firstVertical ? Math.floor((firstLocal - 1 - firstVertical) / pattern.verticalStride) + 1 : 0;
  return numVertical + queryBlock - firstLocal + 1;
}

/** Writes what {@link visibleBlocks} lists into `blocks` from `offset` on and returns the offset behind it. */
export function writeVisibleBlocks(
  pattern: BlockSparsePattern,
  head: number,
  queryBlock: number,
  blocks: Int32Array,
  offset: number,
): number {
  const firstLocal = Math.max(0, queryBlock - pattern.numLocalBlocks + 1);
  let end = offset;
  for (let block = firstVerticalBlock(pattern, head); block < firstLocal; block += pattern.verticalStride) {
    blocks[end++] = block;
  }
  for (let block = firstLocal; block <= queryBlock; block++) blocks[end++] = block;
  return end;
}

/** Heads h and h + this number see the same blocks; never more than there are heads. */
export function numDistinctHeads({ verticalStride, headStep }: BlockSparsePattern, numHeads: number): number {
  let [divisor, rest] = [verticalStride, headStep % verticalStride];
  while (rest > 0) [divisor, rest] = [rest, divisor % rest];
  return Math.min(numHeads, verticalStride / divisor);
}
