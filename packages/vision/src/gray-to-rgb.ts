import { expectImage, type RgbImage } from './rgb-image.ts';

/**
 * Repeats every grey level as red, green and blue, as Pillow's `convert('RGB')` does.
 *
 * @param image - one byte per pixel, row by row
 * @throws ImageError `IM_SIZE`, `IM_TOO_LARGE`, `IM_DATA`
 * @example
 * grayToRgb({ width: 2, height: 1, data: Uint8Array.of(7, 9) }).data; // => [7, 7, 7, 9, 9, 9]
 */
export function grayToRgb(image: {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray;
}): RgbImage {
  expectImage('grayToRgb', image, 1);
  const { width, height, data } = image;
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) rgb.fill(data[i]!, 3 * i, 3 * i + 3);
  return { width, height, data: rgb };
}
