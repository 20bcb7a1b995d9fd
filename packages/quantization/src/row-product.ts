import { expectLength, expectRow } from './expect-row.ts';

/** A matrix in any format whose rows can be had as floats: a `WeightMatrix`, an AWQ or GPTQ layer, an int8 matrix. */
export interface DequantizableMatrix {
  /** `[rows, columns]`, that is `[out, in]`. */
  readonly shape: readonly [rows: number, columns: number];
  /** Writes one row as float32. */
  dequantizeRow(row: number, out: Float32Array): void;
}

/**
 * One element of `y = x · Wᵀ`: the product of a stored row with float activations, summed in float64.
 *
 * @param matrix - weights in any format
 * @param row - which output
 * @param x - float32, one element per column
 * @param scratch - room for one row, for a caller who multiplies many; allocated when absent
 * @throws ArgumentError `ARGUMENT` for a row that does not exist
 * @throws ShapeError `SHAPE` when `x` or `scratch` has another length than the columns
 * @example
 * const matrix = quantizeMatrix({ data: new Float32Array(32).fill(0.5), shape: [1, 32] }, 'Q4_0');
 * rowProduct(matrix, 0, new Float32Array(32).fill(3)); // => 48
 */
export function rowProduct(matrix: DequantizableMatrix, row: number, x: Float32Array, scratch?: Float32Array): number {
  const [rows, columns] = matrix.shape;
  expectRow('rowProduct', row, rows);
  expectLength('rowProduct', 'x', x.length, columns);
  const weights = scratch ?? new Float32Array(columns);
  expectLength('rowProduct', 'scratch', weights.length, columns);
  matrix.dequantizeRow(row, weights);
  let sum = 0;
  for (let i = 0; i < columns; i++) sum += weights[i]! * x[i]!;
  return sum;
}

/**
 * `y = x · Wᵀ` for one token: every row's {@link rowProduct}, rounded to float32.
 *
 * @param matrix - weights in any format, `[out, in]`
 * @param x - float32 `[in]`
 * @param out - float32 `[out]`; not `x`; allocated when absent
 * @returns `out`
 * @throws ShapeError `SHAPE` when `x` or `out` does not fit the matrix
 * @example
 * const matrix = quantizeMatrix({ data: new Float32Array(64).fill(0.5), shape: [2, 32] }, 'Q4_0');
 * matrixVectorProduct(matrix, new Float32Array(32).fill(1)); // => [16, 16]
 */
export function matrixVectorProduct(matrix: DequantizableMatrix, x: Float32Array, out?: Float32Array): Float32Array {
  const [rows, columns] = matrix.shape;
  expectLength('matrixVectorProduct', 'x', x.length, columns);
  const y = out ?? new Float32Array(rows);
  expectLength('matrixVectorProduct', 'out', y.length, rows);
  const scratch = new Float32Array(columns);
  for (let row = 0; row < rows; row++) y[row] = rowProduct(matrix, row, x, scratch);
  return y;
}
