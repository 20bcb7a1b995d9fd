import { ArgumentError } from '@phiblocks/tensor';
import { cropSize } from './hd-transform-size.ts';
import { expectImage, expectImageSize, type RgbImage } from './rgb-image.ts';

/**
 * Pads the height with white to the next multiple: half of the missing rows above (rounded down), the rest below. The
 * width stays; in the HD transform it is a multiple already.
 *
 * Source: `image_processing_phi3_v.py` (`padding_336`).
 *
 * @param image - 8-bit RGB, landscape
 * @param multiple - pixels
 * @throws ImageError `IM_SIZE`, `IM_DATA`; `IM_TOO_LARGE` also for the padded size
 * @throws ArgumentError `ARGUMENT` when `multiple` is not a whole number from 1 up
 * @example
 * padToMultiple({ width: 1, height: 2, data: new Uint8Array(6) }, 5).data; // => [255, 255, 255, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255]
 */
export function padToMultiple(image: RgbImage, multiple: number = cropSize): RgbImage {
  expectImage('padToMultiple', image, 3);
  if (!Number.isSafeInteger(multiple) || multiple < 1) {
    throw new ArgumentError({
      function: 'padToMultiple',
      argument: 'multiple',
      expected: 'a whole number from 1 up',
      got: multiple,
    });
  }
  const height = Math.ceil(image.height / multiple) * multiple;
  expectImageSize('padToMultiple', image.width, height);
  const paddingAbove = Math.trunc((height - image.height) / 2);
  const data = new Uint8Array(image.width * height * 3).fill(255);
  data.set(image.data, paddingAbove * image.width * 3);
  return { width: image.width, height, data };
}
