import { expectShape, type FloatTensor, ShapeError } from '@phiblocks/tensor';
import type { DequantizableMatrix } from './row-product.ts';

/** How far a quantized matrix is from the original. */
export interface QuantizationError {
  /** Root of the mean squared difference. */
  readonly rmse: number;
  /** The row whose own RMSE is largest; row −1 in a matrix without elements. */
  readonly worstRow: { readonly row: number; readonly rmse: number };
  /** Σ ab / sqrt(Σ a² · Σ b²) over all elements; 1 when both are all zero, 0 when only one is. */
  readonly cosine: number;
  /** The largest difference in magnitude. */
  readonly maxAbsolute: number;
}

/**
 * Measures a quantized matrix against the floats it was made from. Sums are float64, taken row by row, so that no second
 * full matrix is needed.
 *
 * @param original - `[rows, columns]`
 * @param quantized - the same shape, in any format
 * @throws ShapeError `SHAPE` when the shapes differ
 * @example
 * const original = { data: Float32Array.from({ length: 32 }, (_, i) => i), shape: [1, 32] };
 * const error = measureError(original, quantizeMatrix(original, 'Q4_1'));
 * error.maxAbsolute < 1.04; // => true
 * error.worstRow.row; // => 0
 */
export function measureError(original: FloatTensor, quantized: DequantizableMatrix): QuantizationError {
  expectShape(original, [null, null], { function: 'measureError', argument: 'original' });
  const [rows, columns] = original.shape as [number, number];
  if (quantized.shape[0] !== rows || quantized.shape[1] !== columns) {
    throw new ShapeError({
      function: 'measureError',
      argument: 'quantized',
      expected: `shape [${rows}, ${columns}], that of the original`,
      got: quantized.shape,
    });
  }
  const values = new Float32Array(columns);
  let total = 0;
  let product = 0;
  let originalSquares = 0;
  let quantizedSquares = 0;
  let maxAbsolute = 0;
  let worstRow = { row: -1, rmse: 0 };
  for (let row = 0; row < rows; row++) {
    quantized.dequantizeRow(row, values);
    let squares = 0;
    for (let i = 0; i < columns; i++) {
      const a = original.data[row * columns + i]!;
      const b = values[i]!;
      const difference = a - b;
      squares += difference * difference;
      product += a * b;
      originalSquares += a * a;
      quantizedSquares += b * b;
      // Not `if (… > max)`, which a NaN would slip through.
      maxAbsolute = Math.max(maxAbsolute, Math.abs(difference));
    }
    total += squares;
    const rmse = columns === 0 ? 0 : Math.sqrt(squares / columns);
    if (worstRow.row < 0 || rmse > worstRow.rmse || Number.isNaN(rmse)) worstRow = { row, rmse };
  }
  const norm = Math.sqrt(originalSquares) * Math.sqrt(quantizedSquares);
  const bothZero = originalSquares === 0 && quantizedSquares === 0;
  return {
    rmse: rows * columns === 0 ? 0 : Math.sqrt(total / (rows * columns)),
    worstRow: columns === 0 ? { row: -1, rmse: 0 } : worstRow,
    cosine: bothZero ? 1 : norm === 0 ? 0 : product / norm,
    maxAbsolute,
  };
}
