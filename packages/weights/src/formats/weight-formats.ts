import {
  ArgumentError,
  bytesPerElement,
  decodeFloats,
  type FloatDtype,
  type FloatTensor,
  ShapeError,
  sizeOfShape,
  type WeightFormat,
  type WeightMatrix,
} from '@phiblocks/tensor';

/**
 * Wraps the stored bytes of a matrix. The bytes are not copied.
 *
 * @param format - how the bytes are stored
 * @param shape - `[rows, columns]`, that is `[out, in]`
 * @param bytes - row after row
 * @throws ShapeError `SHAPE` when the bytes are not as many as format and shape say
 * @throws ArgumentError `ARGUMENT` for an unknown format
 * @example
 * const matrix = createWeightMatrix('BF16', [1, 2], new Uint8Array([0x80, 0x3f, 0x00, 0x40]));
 * const row = new Float32Array(2);
 * matrix.dequantizeRow(0, row);
 * row; // => [1, 2]
 */
export function createWeightMatrix(
  format: WeightFormat,
  shape: readonly [rows: number, columns: number],
  bytes: Uint8Array,
): WeightMatrix {
  const dtype = floatDtype('createWeightMatrix', format);
  expectSize('createWeightMatrix', dtype, shape, bytes);
  const [rows, columns] = shape;
  const rowSizeInBytes = columns * bytesPerElement(dtype);
  return {
    format,
    shape,
    bytes,
    dequantizeRow(row, out) {
      if (!Number.isInteger(row) || row < 0 || row >= rows) {
        throw new ArgumentError({
          function: 'dequantizeRow',
          argument: 'row',
          expected: `a whole number from 0 to ${rows - 1}`,
          got: row,
        });
      }
      decodeFloats(bytes.subarray(row * rowSizeInBytes, (row + 1) * rowSizeInBytes), dtype, out);
    },
  };
}

/**
 * Decodes the stored bytes of a tensor of any rank to float32.
 *
 * @param format - how the bytes are stored
 * @param shape - outermost dimension first
 * @param bytes - row after row
 * @throws ShapeError `SHAPE` when the bytes are not as many as format and shape say
 * @throws ArgumentError `ARGUMENT` for an unknown format
 * @example
 * decodeTensor('F16', [2], new Uint8Array([0x00, 0x3c, 0x00, 0x40])).data; // => [1, 2]
 */
export function decodeTensor(format: WeightFormat, shape: readonly number[], bytes: Uint8Array): FloatTensor {
  const dtype = floatDtype('decodeTensor', format);
  expectSize('decodeTensor', dtype, shape, bytes);
  return { data: decodeFloats(bytes, dtype), shape };
}

function floatDtype(functionName: string, format: WeightFormat): FloatDtype {
  if (format === 'F32' || format === 'F16' || format === 'BF16') return format;
  throw new ArgumentError({ function: functionName, argument: 'format', expected: 'F32, F16 or BF16', got: format });
}

function expectSize(functionName: string, dtype: FloatDtype, shape: readonly number[], bytes: Uint8Array): void {
  const sizeInBytes = sizeOfShape(shape) * bytesPerElement(dtype);
  if (bytes.byteLength !== sizeInBytes) {
    throw new ShapeError({
      function: functionName,
      argument: 'bytes',
      expected: `${sizeInBytes} bytes for ${dtype} [${shape.join(', ')}]`,
      got: bytes.byteLength,
    });
  }
}
