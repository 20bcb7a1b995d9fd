import { expectShape, type FloatTensor } from '@phiblocks/tensor';

/** Scale and shift of a LayerNorm, both `[C]`. */
export interface LayerNormWeights {
  readonly weight: FloatTensor;
  readonly bias: FloatTensor;
}

/**
 * LayerNorm row by row: `(x - mean) / sqrt(variance + epsilon) · weight + bias`, with the biased variance.
 *
 * Source: arXiv:1607.06450. Sums run in float64.
 *
 * @param x - `[T, C]`
 * @param weights - `{ weight, bias }`, both `[C]`
 * @param epsilon - 1e-5 in CLIP
 * @returns `[T, C]`
 * @throws ShapeError `SHAPE`
 * @example
 * const ones = { data: Float32Array.of(1, 1), shape: [2] };
 * const zeros = { data: new Float32Array(2), shape: [2] };
 * layerNorm({ data: Float32Array.of(3, 5), shape: [1, 2] }, { weight: ones, bias: zeros }, 0).data; // => [-1, 1]
 */
export function layerNorm(x: FloatTensor, { weight, bias }: LayerNormWeights, epsilon: number): FloatTensor {
  expectShape(x, [null, null], { function: 'layerNorm', argument: 'x' });
  const [numRows, size] = x.shape as readonly [number, number];
  expectShape(weight, [size], { function: 'layerNorm', argument: 'weights.weight' });
  expectShape(bias, [size], { function: 'layerNorm', argument: 'weights.bias' });
  const data = new Float32Array(x.data.length);
  for (let row = 0; row < numRows; row++) {
    const start = row * size;
    let sum = 0;
    for (let i = 0; i < size; i++) sum += x.data[start + i]!;
    const mean = sum / size;
    let squares = 0;
    for (let i = 0; i < size; i++) squares += (x.data[start + i]! - mean) ** 2;
    const factor = 1 / Math.sqrt(squares / size + epsilon);
    for (let i = 0; i < size; i++) {
      data[start + i] = (x.data[start + i]! - mean) * factor * weight.data[i]! + bias.data[i]!;
    }
  }
  return { data, shape: x.shape };
}
