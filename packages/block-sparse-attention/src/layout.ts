import { ArgumentError, type BlockSparsePattern, expectKnownOptions } from '@phiblocks/tensor';
import { expectPattern, expectWholeNumber } from './pattern.ts';
import { countVisibleBlocks, numDistinctHeads, writeVisibleBlocks } from './visible-blocks.ts';

/**
 * Which key blocks each query block of each head sees, as lists and never as a square mask. A plain value: built once for a
 * length, good for every layer and every shorter length. Heads that see the same share their lists.
 */
export interface BlockSparseLayout {
  /** Tokens per block. */
  readonly blockSize: number;
  /** Blocks up to and with the query's own that count as local: what a picture tells apart. */
  readonly numLocalBlocks: number;
  readonly numHeads: number;
  readonly numBlocks: number;
  /** Lists are kept for so many heads; head h uses those of h mod numDistinctHeads. */
  readonly numDistinctHeads: number;
  /**
   * Where lists start in `keyBlocks`, `[numDistinctHeads · numBlocks + 1]`: the list of query block q of distinct head d is
   * number d · numBlocks + q and ends where the next one starts.
   */
  readonly listStarts: Int32Array;
  /** All lists one behind the other, each ascending. */
  readonly keyBlocks: Int32Array;
}

/**
 * Builds the layout of a pattern for a length.
 *
 * @param pattern - from `createBlockSparsePattern`
 * @param options - `numHeads`: query heads; `length`: tokens, the last block may be partly filled
 * @throws ArgumentError `ARGUMENT` for a pattern or sizes that are none, or more than 2^31 - 1 listed blocks
 * @throws Phi3Error `OPTION_UNKNOWN`
 * @example
 * const pattern = createBlockSparsePattern({ blockSize: 64, numLocalBlocks: 16, verticalStride: 8, numHeads: 32 });
 * const layout = createBlockSparseLayout(pattern, { numHeads: 32, length: 2600 });
 * layout.numDistinctHeads; // => 8
 * layoutRow(layout, 9, 40).slice(0, 4); // => [6, 14, 22, 25]
 */
export function createBlockSparseLayout(
  pattern: BlockSparsePattern,
  options: { readonly numHeads: number; readonly length: number },
): BlockSparseLayout {
  const name = 'createBlockSparseLayout';
  expectPattern(name, 'pattern', pattern);
  expectKnownOptions(name, options, ['numHeads', 'length']);
  const { numHeads, length } = options;
  expectWholeNumber(name, 'options.numHeads', numHeads, 1);
  expectWholeNumber(name, 'options.length', length, 0);
  const numBlocks = Math.ceil(length / pattern.blockSize);
  const numDistinct = numDistinctHeads(pattern, numHeads);

  let total = 0;
  for (let head = 0; head < numDistinct; head++) {
    for (let block = 0; block < numBlocks; block++) total += countVisibleBlocks(pattern, head, block);
    if (total > 0x7fffffff) {
      throw new ArgumentError({
        function: name,
        argument: 'options.length',
        expected: 'a length whose lists hold at most 2^31 - 1 blocks',
        got: length,
      });
    }
  }
  const listStarts = new Int32Array(numDistinct * numBlocks + 1);
  const keyBlocks = new Int32Array(total);
  let end = 0;
  for (let head = 0; head < numDistinct; head++) {
    for (let block = 0; block < numBlocks; block++) {
      end = writeVisibleBlocks(pattern, head, block, keyBlocks, end);
      listStarts[head * numBlocks + block + 1] = end;
    }
  }
  const { blockSize, numLocalBlocks } = pattern;
  return { blockSize, numLocalBlocks, numHeads, numBlocks, numDistinctHeads: numDistinct, listStarts, keyBlocks };
}

/**
 * The key blocks that a query block sees under one head, ascending. A view into the layout: do not write to it.
 *
 * @throws ArgumentError `ARGUMENT` for a head or a block that the layout does not have
 * @example
 * const pattern = createBlockSparsePattern({ blockSize: 2, numLocalBlocks: 1, verticalStride: 2, numHeads: 2 });
 * layoutRow(createBlockSparseLayout(pattern, { numHeads: 2, length: 10 }), 0, 4); // => [1, 3, 4]
 */
export function layoutRow(layout: BlockSparseLayout, head: number, queryBlock: number): Int32Array {
  expectBelow('layoutRow', 'head', head, layout.numHeads);
  expectBelow('layoutRow', 'queryBlock', queryBlock, layout.numBlocks);
  const list = (head % layout.numDistinctHeads) * layout.numBlocks + queryBlock;
  return layout.keyBlocks.subarray(layout.listStarts[list]!, layout.listStarts[list + 1]!);
}

/** Throws unless the value is a whole number from 0 to `limit` - 1. */
export function expectBelow(functionName: string, argument: string, value: number, limit: number): void {
  if (!Number.isInteger(value) || value < 0 || value >= limit) {
    throw new ArgumentError({
      function: functionName,
      argument,
      expected: `a whole number from 0 to ${limit - 1}`,
      got: value,
    });
  }
}
