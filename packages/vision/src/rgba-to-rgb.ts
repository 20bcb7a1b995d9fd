import { ArgumentError, expectKnownOptions } from '@phiblocks/tensor';
import { expectImage, type RgbImage } from './rgb-image.ts';

/** A decoded image with alpha, not premultiplied. The `ImageData` of a canvas is one. */
export interface RgbaImage {
  readonly width: number;
  readonly height: number;
  /** `width · height · 4` bytes. */
  readonly data: Uint8Array | Uint8ClampedArray;
}

/**
 * Removes the alpha channel.
 *
 * The published processor converts with Pillow's `convert('RGB')`, which **drops** alpha: a transparent pixel shows the
 * colour stored under it. That is the default. A canvas stores black under full transparency, so a picture with
 * transparent parts that came through one is better blended on white, which is not what the reference does.
 *
 * @param image - red, green, blue, alpha, 8 bits each
 * @param options - `alpha`: `'drop'` (default, as published) or `'blendOnWhite'` (`colour · alpha + 255 · (1 - alpha)`,
 * rounded to nearest)
 * @throws ImageError `IM_SIZE`, `IM_TOO_LARGE`, `IM_DATA`
 * @throws ArgumentError `ARGUMENT` for another `alpha`
 * @throws Phi3Error `OPTION_UNKNOWN`
 * @example
 * const pixel = { width: 1, height: 1, data: Uint8Array.of(200, 100, 0, 51) };
 * rgbaToRgb(pixel).data; // => [200, 100, 0]
 * rgbaToRgb(pixel, { alpha: 'blendOnWhite' }).data; // => [244, 224, 204]
 */
export function rgbaToRgb(image: RgbaImage, options: { alpha?: 'drop' | 'blendOnWhite' } = {}): RgbImage {
  expectKnownOptions('rgbaToRgb', options, ['alpha']);
  const alpha = options.alpha ?? 'drop';
  if (alpha !== 'drop' && alpha !== 'blendOnWhite') {
    throw new ArgumentError({
      function: 'rgbaToRgb',
      argument: 'options.alpha',
      expected: "'drop' or 'blendOnWhite'",
      got: alpha,
    });
  }
  expectImage('rgbaToRgb', image, 4);
  const { width, height, data } = image;
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    const opacity = alpha === 'drop' ? 255 : data[from + 3]!;
    const white = 255 * (255 - opacity);
    rgb[to] = Math.round((data[from]! * opacity + white) / 255);
    rgb[to + 1] = Math.round((data[from + 1]! * opacity + white) / 255);
    rgb[to + 2] = Math.round((data[from + 2]! * opacity + white) / 255);
  }
  return { width, height, data: rgb };
}
