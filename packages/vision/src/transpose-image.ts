import { expectImage, type RgbImage } from './rgb-image.ts';

/**
 * Swaps x and y: a reflection across the main diagonal, not a rotation. Twice gives the image back.
 *
 * @throws ImageError `IM_SIZE`, `IM_TOO_LARGE`, `IM_DATA`
 * @example
 * const row = { width: 2, height: 1, data: Uint8Array.of(1, 2, 3, 4, 5, 6) };
 * transposeImage(row); // => { width: 1, height: 2, data: Uint8Array.of(1, 2, 3, 4, 5, 6) }
 */
export function transposeImage(image: RgbImage): RgbImage {
  expectImage('transposeImage', image, 3);
  const { width, height, data } = image;
  const transposed = new Uint8Array(data.length);
  let from = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++, from += 3) {
      const to = (x * height + y) * 3;
      transposed[to] = data[from]!;
      transposed[to + 1] = data[from + 1]!;
      transposed[to + 2] = data[from + 2]!;
    }
  }
  return { width: height, height: width, data: transposed };
}
