import { ArgumentError, type BlockSparsePattern, expectKnownOptions } from '@phiblocks/tensor';
import { expectPattern, expectWholeNumber } from './pattern.ts';
import { countVisibleBlocks, numDistinctHeads } from './visible-blocks.ts';

/** The work of one layer's attention, over all heads. */
export interface BlockSparseCost {
  /** Pairs of a query block and a key block that are touched. */
  readonly numBlocks: number;
  /** What dense causal attention would touch. */
  readonly numDenseBlocks: number;
  /** Pairs of a query and a key that are multiplied: each costs headDim multiply-accumulates for the score and as many for the sum. */
  readonly numQueryKeyPairs: number;
  /** What dense causal attention would multiply. */
  readonly numDenseQueryKeyPairs: number;
  /** `numQueryKeyPairs / numDenseQueryKeyPairs`. */
  readonly shareOfDense: number;
}

/**
 * Counts the work of `blockSparseAttention` without doing it. The share of dense is 1 up to `numLocalBlocks` blocks and
 * falls towards 1 / verticalStride: the cost stays quadratic in the length, with a smaller factor.
 *
 * @param pattern - from `createBlockSparsePattern`
 * @param options - `numHeads`: query heads; `length`: tokens so far, new ones included; `queryStart`: position of the
 * first new token, 0 when absent (a whole prompt), length - 1 for one decoded token
 * @throws ArgumentError `ARGUMENT` for a pattern or sizes that are none
 * @throws Phi3Error `OPTION_UNKNOWN`
 * @example
 * const pattern = createBlockSparsePattern({ blockSize: 64, numLocalBlocks: 16, verticalStride: 8, numHeads: 32 });
 * blockSparseCost(pattern, { numHeads: 32, length: 1024 }).shareOfDense; // => 1
 * Math.round(100 * blockSparseCost(pattern, { numHeads: 32, length: 8192 }).shareOfDense); // => 32
 */
export function blockSparseCost(
  pattern: BlockSparsePattern,
  options: { readonly numHeads: number; readonly length: number; readonly queryStart?: number | undefined },
): BlockSparseCost {
  const name = 'blockSparseCost';
  expectPattern(name, 'pattern', pattern);
  expectKnownOptions(name, options, ['numHeads', 'length', 'queryStart']);
  const { numHeads, length, queryStart = 0 } = options;
  expectWholeNumber(name, 'options.numHeads', numHeads, 1);
  expectWholeNumber(name, 'options.length', length, 1);
  expectWholeNumber(name, 'options.queryStart', queryStart, 0);
  if (queryStart >= length) {
    throw new ArgumentError({
      function: name,
      argument: 'options.queryStart',
      expected: `a position below the length ${length}`,
      got: queryStart,
    });
  }
  const { blockSize } = pattern;
  const numDistinct = numDistinctHeads(pattern, numHeads);
  let numBlocks = 0;
  let numDenseBlocks = 0;
  let numQueryKeyPairs = 0;
  let numDenseQueryKeyPairs = 0;
  for (let block = Math.floor(queryStart / blockSize); block * blockSize < length; block++) {
    const first = Math.max(queryStart, block * blockSize);
    const last = Math.min(length, (block + 1) * blockSize) - 1;
    const numQueries = last - first + 1;
    // Pairs inside the queries' own block: the query at offset o of the block sees o + 1 keys.
    const ownPairs = ((first + last + 2 - 2 * block * blockSize) * numQueries) / 2;
    for (let head = 0; head < numDistinct; head++) {
      // Heads head, head + numDistinct, head + 2 · numDistinct, … share this count.
      const numSharing = Math.ceil((numHeads - head) / numDistinct);
      const numVisible = countVisibleBlocks(pattern, head, block);
      numBlocks += numSharing * numVisible;
      numQueryKeyPairs += numSharing * ((numVisible - 1) * blockSize * numQueries + ownPairs);
    }
    numDenseBlocks += numHeads * (block + 1);
    numDenseQueryKeyPairs += numHeads * (block * blockSize * numQueries + ownPairs);
  }
  return {
    numBlocks,
    numDenseBlocks,
    numQueryKeyPairs,
    numDenseQueryKeyPairs,
    shareOfDense: numQueryKeyPairs / numDenseQueryKeyPairs,
  };
}
