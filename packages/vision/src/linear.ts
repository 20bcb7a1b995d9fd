import { expectShape, type FloatTensor } from '@phiblocks/tensor';

/** A linear layer as checkpoints store it: `weight` `[out, in]`, `bias` `[out]`. */
export interface LinearWeights {
  readonly weight: FloatTensor;
  readonly bias: FloatTensor;
}

/**
 * `x · Wᵀ + bias`, summed in float64.
 *
 * @param x - `[T, in]`
 * @param weights - `{ weight: [out, in], bias: [out] }`; without a bias nothing is added
 * @returns `[T, out]`
 * @throws ShapeError `SHAPE`
 * @example
 * const weight = { data: Float32Array.of(1, 2, 3, 4), shape: [2, 2] };
 * const bias = { data: Float32Array.of(0, 100), shape: [2] };
 * linear({ data: Float32Array.of(1, 10), shape: [1, 2] }, { weight, bias }).data; // => [21, 143]
 */
export function linear(x: FloatTensor, weights: { weight: FloatTensor; bias?: FloatTensor }): FloatTensor {
  const { weight, bias } = weights;
  expectShape(x, [null, null], { function: 'linear', argument: 'x' });
  expectShape(weight, [null, x.shape[1]!], { function: 'linear', argument: 'weights.weight' });
  const shape = [x.shape[0]!, weight.shape[0]!] as const;
  // A size that came from a division is stored as a floating-point number, and V8 would then compute every index below
  // in floating point, at half the speed. `| 0` makes it an integer again.
  const inSize = x.shape[1]! | 0;
  const numRows = shape[0] | 0;
  const outSize = shape[1] | 0;
  if (bias) expectShape(bias, [shape[1]], { function: 'linear', argument: 'weights.bias' });
  const inputs = x.data;
  const weightData = weight.data;
  const data = new Float32Array(shape[0] * shape[1]);

  // Tiles of 2 × 4 outputs: six loads serve eight products. Where a tile sticks out past the end it repeats the last row
  // or output, and writes the same number to the same place again.
  for (let out0 = 0; out0 < outSize; out0 += 4) {
    const out1 = Math.min(out0 + 1, outSize - 1);
    const out2 = Math.min(out0 + 2, outSize - 1);
    const out3 = Math.min(out0 + 3, outSize - 1);
    const first0 = out0 * inSize;
    const first1 = out1 * inSize;
    const first2 = out2 * inSize;
    const first3 = out3 * inSize;
    for (let row0 = 0; row0 < numRows; row0 += 2) {
      const row1 = Math.min(row0 + 1, numRows - 1);
      const start0 = row0 * inSize;
      const start1 = row1 * inSize;
      let sum00 = bias ? bias.data[out0]! : 0;
      let sum01 = bias ? bias.data[out1]! : 0;
      let sum02 = bias ? bias.data[out2]! : 0;
      let sum03 = bias ? bias.data[out3]! : 0;
      let sum10 = sum00;
      let sum11 = sum01;
      let sum12 = sum02;
      let sum13 = sum03;
      for (let i = 0; i < inSize; i++) {
        const weight0 = weightData[first0 + i]!;
        const weight1 = weightData[first1 + i]!;
        const weight2 = weightData[first2 + i]!;
        const weight3 = weightData[first3 + i]!;
        const x0 = inputs[start0 + i]!;
        sum00 += x0 * weight0;
        sum01 += x0 * weight1;
        sum02 += x0 * weight2;
        sum03 += x0 * weight3;
        const x1 = inputs[start1 + i]!;
        sum10 += x1 * weight0;
        sum11 += x1 * weight1;
        sum12 += x1 * weight2;
        sum13 += x1 * weight3;
      }
      data[row0 * outSize + out0] = sum00;
      data[row0 * outSize + out1] = sum01;
      data[row0 * outSize + out2] = sum02;
      data[row0 * outSize + out3] = sum03;
      data[row1 * outSize + out0] = sum10;
      data[row1 * outSize + out1] = sum11;
      data[row1 * outSize + out2] = sum12;
      data[row1 * outSize + out3] = sum13;
    }
  }
  return { data, shape };
}
