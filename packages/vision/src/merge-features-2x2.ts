import { ArgumentError, expectShape, type FloatTensor, ShapeError } from '@phiblocks/tensor';

/**
 * Joins every 2 × 2 block of neighbouring patches into one vector and lays the crops of a picture side by side.
 *
 * Source: `image_embedding_phi3_v.py` (`reshape_hd_patches_2x2merge`). A merged vector holds, in this order, the upper
 * left, upper right, lower left and lower right patch.
 *
 * @param features - `[numRows · numColumns, P², C]`: crops row by row, in each P × P patches row by row; P is even (24)
 * @param numRows - of crops
 * @param numColumns - of crops
 * @returns `[numRows · P/2, numColumns · P/2, 4 · C]`
 * @throws ShapeError `SHAPE` when the number of crops is not `numRows · numColumns`, or that of patches not an even square
 * @throws ArgumentError `ARGUMENT` when a number of crops is not a whole number from 1 up
 * @example
 * const features = { data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), shape: [2, 4, 1] };
 * mergeFeatures2x2(features, 1, 2).shape; // => [1, 2, 4]
 */
export function mergeFeatures2x2(features: FloatTensor, numRows: number, numColumns: number): FloatTensor {
  for (const [argument, value] of [
    ['numRows', numRows],
    ['numColumns', numColumns],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new ArgumentError({
        function: 'mergeFeatures2x2',
        argument,
        expected: 'a whole number from 1 up',
        got: value,
      });
    }
  }
  expectShape(features, [numRows * numColumns, null, null], { function: 'mergeFeatures2x2', argument: 'features' });
  const [, numPatches, channels] = features.shape as readonly [number, number, number];
  const side = Math.sqrt(numPatches);
  if (!Number.isInteger(side / 2) || side === 0) {
    throw new ShapeError({
      function: 'mergeFeatures2x2',
      argument: 'features',
      expected: 'the square of an even number of patches per crop',
      got: features.shape,
    });
  }
  const merged = side / 2;
  const data = new Float32Array(features.data.length);
  let to = 0;
  for (let y = 0; y < numRows * merged; y++) {
    for (let x = 0; x < numColumns * merged; x++) {
      const crop = Math.floor(y / merged) * numColumns + Math.floor(x / merged);
      // The two patches of a block's row are neighbours in memory too.
      const upper = (crop * numPatches + 2 * (y % merged) * side + 2 * (x % merged)) * channels;
      const lower = upper + side * channels;
      data.set(features.data.subarray(upper, upper + 2 * channels), to);
      data.set(features.data.subarray(lower, lower + 2 * channels), to + 2 * channels);
      to += 4 * channels;
    }
  }
  return { data, shape: [numRows * merged, numColumns * merged, 4 * channels] };
}
