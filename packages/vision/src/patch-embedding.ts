import { ArgumentError, expectShape, type FloatTensor } from '@phiblocks/tensor';
import { linear } from './linear.ts';

/**
 * Cuts pixels into square patches without overlap and maps each to a vector: the convolution of a vision transformer,
 * whose stride is its kernel size, written as one matrix product.
 *
 * Source: arXiv:2010.11929 §3.1; CLIP has no bias here.
 *
 * @param pixels - `[channels, height, width]`; a rest of the sides that fills no patch is left out, as by a convolution
 * @param weight - `[C, channels · patchSize²]`; a convolution's `[C, channels, patchSize, patchSize]` is the same numbers
 * @param patchSize - pixels
 * @returns `[patches, C]`, patches row by row
 * @throws ShapeError `SHAPE`
 * @throws ArgumentError `ARGUMENT` when `patchSize` is not a whole number from 1 up
 * @example
 * const pixels = { data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), shape: [1, 2, 4] };
 * const weight = { data: Float32Array.of(1, 10, 100, 1000), shape: [1, 4] };
 * patchEmbedding(pixels, weight, 2).data; // => [6521, 8743]
 */
export function patchEmbedding(pixels: FloatTensor, weight: FloatTensor, patchSize: number): FloatTensor {
  expectShape(pixels, [null, null, null], { function: 'patchEmbedding', argument: 'pixels' });
  if (!Number.isSafeInteger(patchSize) || patchSize < 1) {
    throw new ArgumentError({
      function: 'patchEmbedding',
      argument: 'patchSize',
      expected: 'a whole number from 1 up',
      got: patchSize,
    });
  }
  const [channels, height, width] = pixels.shape as readonly [number, number, number];
  const patchLength = channels * patchSize * patchSize;
  expectShape(weight, [null, patchLength], { function: 'patchEmbedding', argument: 'weight' });
  const numRows = Math.floor(height / patchSize);
  const numColumns = Math.floor(width / patchSize);
  const patches = new Float32Array(numRows * numColumns * patchLength);
  let to = 0;
  for (let row = 0; row < numRows; row++) {
    for (let column = 0; column < numColumns; column++) {
      for (let channel = 0; channel < channels; channel++) {
        for (let y = row * patchSize; y < (row + 1) * patchSize; y++, to += patchSize) {
          const from = (channel * height + y) * width + column * patchSize;
          patches.set(pixels.data.subarray(from, from + patchSize), to);
        }
      }
    }
  }
  return linear({ data: patches, shape: [numRows * numColumns, patchLength] }, { weight });
}
