import { ArgumentError, type FloatTensor, ShapeError, type WeightFormat, type WeightMatrix } from '@phiblocks/tensor';
import { dequantizeBF16Row } from './bf16.ts';
import { weightSizeInBytes } from './block-layout.ts';
import { dequantizeF16Row } from './f16.ts';
import { dequantizeF32Row } from './f32.ts';
import { dequantizeQ4_0Row } from './q4-0.ts';
import { dequantizeQ4_1Row } from './q4-1.ts';
import { dequantizeQ4_KRow } from './q4-k.ts';
import { dequantizeQ5_0Row } from './q5-0.ts';
import { dequantizeQ5_1Row } from './q5-1.ts';
import { dequantizeQ5_KRow } from './q5-k.ts';
import { dequantizeQ6_KRow } from './q6-k.ts';
import { dequantizeQ8_0Row } from './q8-0.ts';

/**
 * Wraps the stored bytes of a matrix. The bytes are not copied, and `dequantizeRow` allocates nothing.
 *
 * Every weight is the exact value of its format's formula rounded once to float32, which is what llama.cpp computes.
 *
 * @param format - how the bytes are stored
 * @param shape - `[rows, columns]`, that is `[out, in]`
 * @param bytes - row after row, each a whole number of blocks
 * @throws ShapeError `SHAPE` when the bytes are not as many as format and shape say, or a row is no whole number of blocks
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
  if (shape.length !== 2) {
    throw new ShapeError({
      function: 'createWeightMatrix',
      argument: 'shape',
      expected: '[rows, columns]',
      got: shape,
    });
  }
  expectSize('createWeightMatrix', format, shape, bytes);
  const dequantize = dequantizerOf(format);
  const [rows, columns] = shape;
  const rowSizeInBytes = rows === 0 ? 0 : bytes.byteLength / rows;
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
      if (out.length !== columns) {
        throw new ShapeError({
          function: 'dequantizeRow',
          argument: 'out',
          expected: `${columns} elements`,
          got: out.length,
        });
      }
      dequantize(bytes, row * rowSizeInBytes, out);
    },
  };
}

/**
 * Decodes the stored bytes of a tensor of any rank to float32.
 *
 * @param format - how the bytes are stored
 * @param shape - outermost dimension first
 * @param bytes - row after row, each a whole number of blocks
 * @throws ShapeError `SHAPE` when the bytes are not as many as format and shape say, or a row is no whole number of blocks
 * @throws ArgumentError `ARGUMENT` for an unknown format
 * @example
 * decodeTensor('F16', [2], new Uint8Array([0x00, 0x3c, 0x00, 0x40])).data; // => [1, 2]
 */
export function decodeTensor(format: WeightFormat, shape: readonly number[], bytes: Uint8Array): FloatTensor {
  expectSize('decodeTensor', format, shape, bytes);
  let size = 1;
  for (const dimension of shape) size *= dimension;
  const data = new Float32Array(size);
  // Blocks never cross a row, so all rows together are one long row.
  dequantizerOf(format)(bytes, 0, data);
  return { data, shape };
}

/** Fills `out` with the weights whose blocks begin at `offset`. @internal */
export type Dequantizer = (bytes: Uint8Array, offset: number, out: Float32Array) => void;

/** The dequantizer of a format. @internal */
export function dequantizerOf(format: WeightFormat): Dequantizer {
  switch (format) {
    case 'F32':
      return dequantizeF32Row;
    case 'F16':
      return dequantizeF16Row;
    case 'BF16':
      return dequantizeBF16Row;
    case 'Q8_0':
      return dequantizeQ8_0Row;
    case 'Q4_0':
      return dequantizeQ4_0Row;
    case 'Q4_1':
      return dequantizeQ4_1Row;
    case 'Q5_0':
      return dequantizeQ5_0Row;
    case 'Q5_1':
      return dequantizeQ5_1Row;
    case 'Q4_K':
      return dequantizeQ4_KRow;
    case 'Q5_K':
      return dequantizeQ5_KRow;
    case 'Q6_K':
      return dequantizeQ6_KRow;
  }
}

function expectSize(functionName: string, format: WeightFormat, shape: readonly number[], bytes: Uint8Array): void {
  const sizeInBytes = weightSizeInBytes(format, shape);
  if (bytes.byteLength !== sizeInBytes) {
    throw new ShapeError({
      function: functionName,
      argument: 'bytes',
      expected: `${sizeInBytes} bytes for ${format} [${shape.join(', ')}]`,
      got: bytes.byteLength,
    });
  }
}
