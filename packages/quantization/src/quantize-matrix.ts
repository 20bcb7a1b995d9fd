import {
  expectKnownOptions,
  expectShape,
  type FloatDtype,
  type FloatTensor,
  type WeightFormat,
  type WeightMatrix,
} from '@phiblocks/tensor';
import { blockFormatOf } from './block-formats.ts';
import { decodeFloatRow, dequantizeBlocks } from './dequantize-row.ts';
import { expectLength, expectRow } from './expect-row.ts';
import { createQuantizedBlock } from './quantized-block.ts';
import { createRowQuantizer, type QuantizeOptions } from './row-quantizer.ts';
import { expectWholeBlocks, rowSizeInBytes } from './row-size.ts';

/** What {@link quantizeMatrix} may be told. */
export interface QuantizeMatrixOptions extends QuantizeOptions {
  /** The name of the tensor, for messages. */
  readonly name?: string | undefined;
}

/**
 * Quantizes a matrix row by row; the result is what a reader of a GGUF file with these bytes would give.
 *
 * @param tensor - `[rows, columns]`, that is `[out, in]`; each row a whole number of blocks of the format
 * @param format - the format to write
 * @param options - see {@link quantizeRow}
 * @returns the stored bytes with their format; `dequantizeRow` allocates nothing for the block formats
 * @throws ShapeError `SHAPE` when the tensor is no matrix or its rows are not whole blocks
 * @throws Phi3Error `WEIGHT_NOT_FINITE` or `SCALE_OVERFLOW` with tensor, row and column; `OPTION_UNKNOWN`
 * @throws ArgumentError `ARGUMENT` as {@link quantizeRow}
 * @example
 * const tensor = { data: new Float32Array(64).fill(0.5), shape: [2, 32] };
 * const matrix = quantizeMatrix(tensor, 'Q4_1');
 * matrix.bytes.length; // => 40
 * const row = new Float32Array(32);
 * matrix.dequantizeRow(1, row);
 * row[31]; // => 0.5
 */
export function quantizeMatrix(
  tensor: FloatTensor,
  format: WeightFormat,
  options: QuantizeMatrixOptions = {},
): WeightMatrix {
  expectKnownOptions('quantizeMatrix', options, ['search', 'importance', 'name']);
  expectShape(tensor, [null, null], { function: 'quantizeMatrix', argument: 'tensor' });
  const [rows, columns] = tensor.shape as [number, number];
  const where = options.name === undefined ? undefined : { tensor: options.name };
  const sizeInBytes = expectWholeBlocks({ function: 'quantizeMatrix', argument: 'tensor', where }, format, columns);
  const quantize = createRowQuantizer('quantizeMatrix', format, columns, options);
  const bytes = new Uint8Array(rows * sizeInBytes);
  for (let row = 0; row < rows; row++) {
    const place = { function: 'quantizeMatrix', tensor: options.name, row };
    quantize(tensor.data, row * columns, bytes, row * sizeInBytes, place);
  }
  return weightMatrix(format, [rows, columns], bytes);
}

function weightMatrix(
  format: WeightFormat,
  shape: readonly [rows: number, columns: number],
  bytes: Uint8Array,
): WeightMatrix {
  const [rows, columns] = shape;
  const layout = blockFormatOf('quantizeMatrix', format);
  const sizeInBytes = rowSizeInBytes(format, columns);
  const block = createQuantizedBlock();
  return {
    format,
    shape,
    bytes,
    dequantizeRow(row, out) {
      expectRow('dequantizeRow', row, rows);
      expectLength('dequantizeRow', 'out', out.length, columns);
      const at = row * sizeInBytes;
      if (layout === undefined) decodeFloatRow(format as FloatDtype, bytes.subarray(at, at + sizeInBytes), out);
      else dequantizeBlocks(layout, bytes, at, out, block);
    },
  };
}
