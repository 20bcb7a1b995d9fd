/**
 * Root-mean-square norm of every row: `x / sqrt(mean(x²) + epsilon) · weight`.
 *
 * The normalised value is rounded to float32 before the product with `weight`, as the published code casts there.
 * Source: RMSNorm, arXiv:1910.07467 §4; huggingface/transformers `modeling_phi3.py`, `Phi3RMSNorm`.
 *
 * @param x - rows of `weight.length` elements
 * @param weight - `[C]`
 * @returns a new array as long as `x`
 */
export function rmsNormRows(x: Float32Array, weight: Float32Array, epsilon: number): Float32Array {
  const size = weight.length;
  const out = new Float32Array(x.length);
  for (let start = 0; start < x.length; start += size) {
    let squares = 0;
    for (let i = 0; i < size; i++) squares += x[start + i]! * x[start + i]!;
    const inverse = 1 / Math.sqrt(squares / size + epsilon);
    for (let i = 0; i < size; i++) out[start + i] = Math.fround(x[start + i]! * inverse) * weight[i]!;
  }
  return out;
}

/**
 * Layer norm of every row: `(x - mean) / sqrt(variance + epsilon) · weight + bias`, with the biased variance.
 *
 * Source: arXiv:1607.06450 §3.
 *
 * @param x - rows of `weight.length` elements
 * @param weight - `[C]`
 * @param bias - `[C]`
 * @returns a new array as long as `x`
 */
export function layerNormRows(
  x: Float32Array,
  weight: Float32Array,
  bias: Float32Array,
  epsilon: number,
): Float32Array {
  const size = weight.length;
  const out = new Float32Array(x.length);
  for (let start = 0; start < x.length; start += size) {
    let sum = 0;
    for (let i = 0; i < size; i++) sum += x[start + i]!;
    const mean = sum / size;
    let squares = 0;
    for (let i = 0; i < size; i++) squares += (x[start + i]! - mean) ** 2;
    const inverse = 1 / Math.sqrt(squares / size + epsilon);
    for (let i = 0; i < size; i++) out[start + i] = (x[start + i]! - mean) * inverse * weight[i]! + bias[i]!;
  }
  return out;
}
