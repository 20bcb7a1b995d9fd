import { ArgumentError, ShapeError, sizeOfShape, type WeightFormat } from '@phiblocks/tensor';

/** How a format groups its weights. */
export interface BlockLayout {
  readonly weightsPerBlock: number;
  readonly bytesPerBlock: number;
}

/**
 * The block size of a weight format. Rows are whole blocks: blocks never cross the end of a row.
 *
 * Source: llama.cpp `ggml/src/ggml-common.h`, where the sizes are asserted at compile time.
 *
 * @throws ArgumentError `ARGUMENT` for a name that is no weight format
 * @example
 * blockLayout('Q4_0'); // => { weightsPerBlock: 32, bytesPerBlock: 18 }
 */
export function blockLayout(format: WeightFormat): BlockLayout {
  switch (format) {
    case 'F32':
      return { weightsPerBlock: 1, bytesPerBlock: 4 };
    case 'F16':
    case 'BF16':
      return { weightsPerBlock: 1, bytesPerBlock: 2 };
    case 'Q8_0':
      return { weightsPerBlock: 32, bytesPerBlock: 34 };
    case 'Q4_0':
      return { weightsPerBlock: 32, bytesPerBlock: 18 };
    case 'Q4_1':
      return { weightsPerBlock: 32, bytesPerBlock: 20 };
    case 'Q5_0':
      return { weightsPerBlock: 32, bytesPerBlock: 22 };
    case 'Q5_1':
      return { weightsPerBlock: 32, bytesPerBlock: 24 };
    case 'Q4_K':
      return { weightsPerBlock: 256, bytesPerBlock: 144 };
    case 'Q5_K':
      return { weightsPerBlock: 256, bytesPerBlock: 176 };
    case 'Q6_K':
      return { weightsPerBlock: 256, bytesPerBlock: 210 };
    default:
      throw new ArgumentError({
        function: 'blockLayout',
        argument: 'format',
        expected: weightFormats().join(', '),
        got: format,
      });
  }
}

/**
 * Every format that this package can turn into floats.
 *
 * @example
 * weightFormats().includes('Q4_K'); // => true
 */
export function weightFormats(): WeightFormat[] {
  return ['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q4_K', 'Q5_K', 'Q6_K'];
}

/**
 * True when a stored tensor's format is one that can be read as floats.
 *
 * @param format - `StoredTensor.format`
 * @example
 * isWeightFormat('IQ2_XS'); // => false
 */
export function isWeightFormat(format: string): format is WeightFormat {
  return weightFormats().some((known) => known === format);
}

/**
 * How many bytes a tensor takes in a format.
 *
 * @param shape - outermost dimension first; its last dimension is the row that blocks divide
 * @throws ShapeError `SHAPE` when a row is not a whole number of blocks
 * @throws ArgumentError `ARGUMENT` for a name that is no weight format
 * @example
 * weightSizeInBytes('Q4_K', [32064, 3072]); // => 55406592
 */
export function weightSizeInBytes(format: WeightFormat, shape: readonly number[]): number {
  const { weightsPerBlock, bytesPerBlock } = blockLayout(format);
  const size = sizeOfShape(shape);
  if ((shape.at(-1) ?? 1) % weightsPerBlock !== 0) {
    throw new ShapeError({
      function: 'weightSizeInBytes',
      argument: 'shape',
      expected: `rows of a multiple of ${weightsPerBlock} weights for ${format}`,
      got: shape,
    });
  }
  return (size / weightsPerBlock) * bytesPerBlock;
}
