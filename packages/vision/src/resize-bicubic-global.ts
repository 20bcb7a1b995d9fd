import { ArgumentError, expectShape, type FloatTensor, ShapeError } from '@phiblocks/tensor';
import { cropSize } from './hd-transform-size.ts';

// The `a` of torch's cubic convolution. Pillow and OpenCV's antialiased forms use -0.5.
const a = -0.75;

/** Which four samples each output sample reads (clamped to the edge) and their weights. */
interface Taps {
  readonly indices: Int32Array;
  readonly weights: Float32Array;
}

/**
 * The global view: bicubic resize of normalised pixels as `torch.nn.functional.interpolate(mode='bicubic')` does it, with
 * a = -0.75, half-pixel centres, samples beyond the edge clamped to it, and **no antialiasing**: four samples per axis
 * however strong the reduction. Overshoot is kept.
 *
 * Source: `image_processing_phi3_v.py`. In the HD transform width and height are multiples of 336, so the weights are
 * exactly (0, 1, 0, 0) or (-3/32, 19/32, 19/32, -3/32), and the sums are rounded as torch 1.13 did for the reference data,
 * which makes the global view equal to the bit. For other sizes the weights may differ from torch's by their rounding.
 *
 * @param pixels - `[channels, height, width]`
 * @param height - of the result
 * @param width - of the result
 * @returns `[channels, height, width]`
 * @throws ShapeError `SHAPE` when `pixels` is not of rank 3 or is empty
 * @throws ArgumentError `ARGUMENT` when a wanted size is not a whole number from 1 up
 * @example
 * const pixels = { data: Float32Array.of(0, 1, 2, 3), shape: [1, 1, 4] };
 * resizeBicubicGlobal(pixels, 1, 2).data; // => [0.40625, 2.59375]
 */
export function resizeBicubicGlobal(
  pixels: FloatTensor,
  height: number = cropSize,
  width: number = cropSize,
): FloatTensor {
  expectShape(pixels, [null, null, null], { function: 'resizeBicubicGlobal', argument: 'pixels' });
  if (pixels.data.length === 0) {
    throw new ShapeError({
      function: 'resizeBicubicGlobal',
      argument: 'pixels',
      expected: 'at least one pixel',
      got: pixels.shape,
    });
  }
  for (const [argument, value] of [
    ['height', height],
    ['width', width],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new ArgumentError({
        function: 'resizeBicubicGlobal',
        argument,
        expected: 'a whole number from 1 up',
        got: value,
      });
    }
  }
  const [channels, inHeight, inWidth] = pixels.shape as readonly [number, number, number];
  const rows = cubicTaps(inHeight, height);
  const columns = cubicTaps(inWidth, width);
  const data = new Float32Array(channels * height * width);
  const samples = new Float32Array(4);
  const rowSums = new Float32Array(4);
  let to = 0;
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++, to++) {
        for (let i = 0; i < 4; i++) {
          const row = (channel * inHeight + rows.indices[4 * y + i]!) * inWidth;
          for (let j = 0; j < 4; j++) samples[j] = pixels.data[row + columns.indices[4 * x + j]!]!;
          rowSums[i] = weightedSum(samples, columns.weights, 4 * x);
        }
        data[to] = weightedSum(rowSums, rows.weights, 4 * y);
      }
    }
  }
  return { data, shape: [channels, height, width] };
}

/**
 * Four products summed in the order that reproduces torch 1.13's recorded numbers to the bit: the second is rounded, the
 * others enter by fused multiply-add. The product of two float32 is exact in float64, so rounding each sum to float32 is
 * that operation.
 */
function weightedSum(samples: Float32Array, weights: Float32Array, first: number): number {
  const second = Math.fround(samples[1]! * weights[first + 1]!);
  const two = Math.fround(samples[0]! * weights[first]! + second);
  const three = Math.fround(samples[2]! * weights[first + 2]! + two);
  return Math.fround(samples[3]! * weights[first + 3]! + three);
}

function cubicTaps(inSize: number, outSize: number): Taps {
  const indices = new Int32Array(4 * outSize);
  const weights = new Float32Array(4 * outSize);
  for (let out = 0; out < outSize; out++) {
    const position = (inSize / outSize) * (out + 0.5) - 0.5;
    const floor = Math.floor(position);
    const t = position - floor;
    for (let tap = 0; tap < 4; tap++) {
      indices[4 * out + tap] = Math.min(Math.max(floor - 1 + tap, 0), inSize - 1);
      weights[4 * out + tap] = cubic(Math.abs(t + 1 - tap));
    }
  }
  return { indices, weights };
}

/** Keys' cubic convolution kernel (IEEE Trans. ASSP 29, 1981, equation 4), for distances from 0 to 2. */
function cubic(distance: number): number {
  return distance <= 1
    ? ((a + 2) * distance - (a + 3)) * distance * distance + 1
    : ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a;
}
