import { bytesPerElement, type FloatDtype, ShapeError, type WeightFormat } from '@phiblocks/tensor';
import { blockFormatOf } from './block-formats.ts';

/**
 * True when a row of that many weights is a whole number of the format's blocks: of 32 weights, or 256 for the K formats.
 *
 * @throws ArgumentError `ARGUMENT` for a name that is no weight format
 * @example
 * rowFits('Q4_K', 3072); // => true
 * rowFits('Q4_K', 288); // => false
 */
export function rowFits(format: WeightFormat, columns: number): boolean {
  const weightsPerBlock = blockFormatOf('rowFits', format)?.weightsPerBlock ?? 1;
  return Number.isSafeInteger(columns) && columns >= 0 && columns % weightsPerBlock === 0;
}

/**
 * The bytes of one row in a format.
 *
 * @throws ShapeError `SHAPE` when the row is not a whole number of blocks
 * @throws ArgumentError `ARGUMENT` for a name that is no weight format
 * @example
 * rowSizeInBytes('Q4_0', 3072); // => 1728
 */
export function rowSizeInBytes(format: WeightFormat, columns: number): number {
  return expectWholeBlocks({ function: 'rowSizeInBytes', argument: 'columns' }, format, columns);
}

/** The bytes of a row, or the error in the name of the public function that was called. @internal */
export function expectWholeBlocks(
  place: { function: string; argument: string; where?: { tensor: string } | undefined },
  format: WeightFormat,
  columns: number,
): number {
  const layout = blockFormatOf(place.function, format);
  if (!rowFits(format, columns)) {
    throw new ShapeError({
      ...place,
      expected: `rows of a multiple of ${layout?.weightsPerBlock ?? 1} weights for ${format}`,
      got: columns,
    });
  }
  if (layout === undefined) return columns * bytesPerElement(format as FloatDtype);
  return (columns / layout.weightsPerBlock) * layout.bytesPerBlock;
}
