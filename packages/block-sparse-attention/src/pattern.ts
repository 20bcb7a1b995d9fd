import { ArgumentError, type BlockSparsePattern, expectKnownOptions } from '@phiblocks/tensor';

/** The `blocksparse_…` entries of a Phi-3-small configuration that shape the mask. */
export interface BlockSparsePatternOptions {
  /** Tokens per block; 64 in the published checkpoints. */
  readonly blockSize: number;
  /** Blocks up to and with the query's own that every head sees; 16 in the published checkpoints. */
  readonly numLocalBlocks: number;
  /** One block in so many is seen over the whole past; 8 in the published checkpoints. */
  readonly verticalStride: number;
  /** Query heads, H. */
  readonly numHeads: number;
  /** True when all heads see the same blocks (`blocksparse_homo_head_pattern`). Default false. */
  readonly homoHeadPattern?: boolean | undefined;
}

/**
 * The pattern of a block-sparse layer from its configuration. The vertical blocks move by `headStep` from head to head:
 * `max(1, floor(verticalStride / numHeads))`, or 0 when all heads see the same.
 *
 * Source: the code published with Phi-3-small; Phi-3 technical report, arXiv:2404.14219 §2.
 *
 * @throws ArgumentError `ARGUMENT` for sizes that are not whole numbers from 1 up
 * @throws Phi3Error `OPTION_UNKNOWN`
 * @example
 * const published = { blockSize: 64, numLocalBlocks: 16, verticalStride: 8, numHeads: 32 };
 * createBlockSparsePattern(published).headStep; // => 1
 * createBlockSparsePattern({ ...published, homoHeadPattern: true }).headStep; // => 0
 */
export function createBlockSparsePattern(options: BlockSparsePatternOptions): BlockSparsePattern {
  const name = 'createBlockSparsePattern';
  expectKnownOptions(name, options, ['blockSize', 'numLocalBlocks', 'verticalStride', 'numHeads', 'homoHeadPattern']);
  const { blockSize, numLocalBlocks, verticalStride, numHeads, homoHeadPattern = false } = options;
  expectWholeNumber(name, 'options.numHeads', numHeads, 1);
  if (typeof homoHeadPattern !== 'boolean') {
    throw new ArgumentError({
      function: name,
      argument: 'options.homoHeadPattern',
      expected: 'true or false',
      got: homoHeadPattern,
    });
  }
  const headStep = homoHeadPattern ? 0 : Math.max(1, Math.floor(verticalStride / numHeads));
  const pattern = { blockSize, numLocalBlocks, verticalStride, headStep };
  expectPattern(name, 'options', pattern);
  return pattern;
}

/** Throws unless the value is a pattern in which every query sees at least its own block. */
export function expectPattern(functionName: string, argument: string, pattern: BlockSparsePattern): void {
  if (typeof pattern !== 'object' || pattern === null) {
    throw new ArgumentError({ function: functionName, argument, expected: 'a block-sparse pattern', got: pattern });
  }
  expectKnownOptions(functionName, pattern, ['blockSize', 'numLocalBlocks', 'verticalStride', 'headStep']);
  expectWholeNumber(functionName, `${argument}.blockSize`, pattern.blockSize, 1);
  expectWholeNumber(functionName, `${argument}.numLocalBlocks`, pattern.numLocalBlocks, 1);
  expectWholeNumber(functionName, `${argument}.verticalStride`, pattern.verticalStride, 1);
  expectWholeNumber(functionName, `${argument}.headStep`, pattern.headStep, 0);
}

/** Throws unless the value is a whole number from `least` to 2^31 - 1: what an Int32Array can hold and loops can bear. */
export function expectWholeNumber(functionName: string, argument: string, value: unknown, least: number): void {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > 0x7fffffff) {
    throw new ArgumentError({
      function: functionName,
      argument,
      expected: `a whole number from ${least} to 2^31 - 1`,
      got: value,
    });
  }
}
