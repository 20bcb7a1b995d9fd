import type { FloatTensor, WeightMatrix } from '@phiblocks/tensor';
import { createWeightMatrix } from '@phiblocks/weights';

/**
 * A copy of a weight matrix with its rows in another order. Rows are copied as they are stored, so this works for every
 * format and changes no weight.
 *
 * @param matrix - `[R, C]` in any format
 * @param order - `[R]`, for each row of the result, the row it was
 */
export function permuteRows({ format, shape, bytes }: WeightMatrix, order: Int32Array): WeightMatrix {
  const rowSizeInBytes = bytes.byteLength / shape[0];
  const permuted = new Uint8Array(bytes.byteLength);
  for (let row = 0; row < order.length; row++) {
    const start = order[row]! * rowSizeInBytes;
    permuted.set(bytes.subarray(start, start + rowSizeInBytes), row * rowSizeInBytes);
  }
  return createWeightMatrix(format, shape, permuted);
}

/**
 * {@link permuteRows} for a bias: one element per row.
 *
 * @param bias - `[R]`
 * @param order - `[R]`, for each element of the result, the element it was
 */
export function permuteElements({ data, shape }: FloatTensor, order: Int32Array): FloatTensor {
  return { data: Float32Array.from(order, (element) => data[element]!), shape };
}
