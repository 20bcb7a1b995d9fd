import { ImageError } from './image-error.ts';

/** A decoded image: 8 bits per channel, red, green, blue, row by row from the top left, nothing between rows. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  /** `width · height · 3` bytes. */
  readonly data: Uint8Array;
}

// A decoder must refuse a bomb before it allocates; this is the same limit for who brings bytes without one.
const mostPixels = 100_000_000;

/**
 * Checks width, height and the number of bytes of an image.
 *
 * @param functionName - the public function, for the message
 * @param image - `{ width, height, data }`
 * @param channels - bytes per pixel
 */
export function expectImage(
  functionName: string,
  image: { readonly width: number; readonly height: number; readonly data: Uint8Array | Uint8ClampedArray },
  channels: number,
): void {
  const { width, height, data } = image;
  expectImageSize(functionName, width, height);
  // By name and not by `instanceof`: bytes may come from another frame or a test runner's sandbox.
  const isBytes = /^\[object Uint8(Clamped)?Array\]$/.test(Object.prototype.toString.call(data));
  if (!isBytes || data.length !== width * height * channels) {
    throw new ImageError({
      code: 'IM_DATA',
      function: functionName,
      argument: 'image.data',
      expected: `${width * height * channels} bytes for ${width} × ${height} pixels of ${channels}`,
      got: isBytes ? data.length : data,
    });
  }
}

/** Checks that width and height are whole numbers from 1 up and that their product is not absurd. */
export function expectImageSize(functionName: string, width: number, height: number): void {
  for (const [argument, value] of [
    ['width', width],
    ['height', height],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new ImageError({
        code: 'IM_SIZE',
        function: functionName,
        argument,
        expected: 'a whole number from 1 up',
        got: value,
      });
    }
  }
  if (width * height > mostPixels) {
    throw new ImageError({
      code: 'IM_TOO_LARGE',
      function: functionName,
      argument: 'image',
      expected: `at most ${mostPixels} pixels`,
      got: `${width} × ${height}`,
      hint: 'Make the image smaller first: the model sees at most a few million pixels.',
    });
  }
}
