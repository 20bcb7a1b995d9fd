import { cropSize } from './hd-transform-size.ts';
import { ImageError } from './image-error.ts';

/**
 * How many tokens an image takes in the prompt, from its size after the HD transform: 144 per crop and for the global
 * view, one newline for each of their rows of features, and one separator between the two.
 *
 * Source: `image_processing_phi3_v.py`: `(h·w + 1)·144 + 1 + (h + 1)·12` with h and w counted in crops.
 *
 * @param height - multiple of 336
 * @param width - multiple of 336
 * @throws ImageError `IM_SIZE` when a side is not a multiple of 336 from 336 up
 * @example
 * imageTokenCount(1344, 1344); // => 2509
 */
export function imageTokenCount(height: number, width: number): number {
  const { numRows, numColumns } = cropGrid('imageTokenCount', height, width);
  return (numRows * numColumns + 1) * 144 + 1 + (numRows + 1) * 12;
}

/** Rows and columns of crops in a picture after the HD transform. */
export function cropGrid(functionName: string, height: number, width: number): { numRows: number; numColumns: number } {
  for (const [argument, value] of [
    ['height', height],
    ['width', width],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < 1 || value % cropSize !== 0) {
      throw new ImageError({
        code: 'IM_SIZE',
        function: functionName,
        argument,
        expected: `a multiple of ${cropSize}: the size after the HD transform`,
        got: value,
      });
    }
  }
  return { numRows: height / cropSize, numColumns: width / cropSize };
}
