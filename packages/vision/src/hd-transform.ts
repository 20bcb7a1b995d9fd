import { expectKnownOptions } from '@phiblocks/tensor';
import { hdTransformSize } from './hd-transform-size.ts';
import { padToMultiple } from './pad-to-multiple.ts';
import { resizeBilinear } from './resize-bilinear.ts';
import { expectImage, type RgbImage } from './rgb-image.ts';
import { transposeImage } from './transpose-image.ts';

/**
 * The HD transform of Phi-3-vision: resizes an image and pads it with white so that it cuts into at most `numCrops` crops
 * of 336 × 336. Still 8 bits per channel, equal to the published processor bit for bit.
 *
 * Source: `image_processing_phi3_v.py` (`HD_transform`).
 *
 * @param image - 8-bit RGB
 * @param options - `numCrops`: 16 for Phi-3-vision, 4 for Phi-3.5-vision; from 1 to 64
 * @returns width and height are multiples of 336
 * @throws ImageError `IM_SIZE`, `IM_TOO_LARGE`, `IM_DATA`, `IM_NUM_CROPS`, `IM_ASPECT_RATIO`
 * @throws Phi3Error `OPTION_UNKNOWN`
 * @example
 * const pixel = { width: 1, height: 1, data: Uint8Array.of(10, 20, 30) };
 * hdTransform(pixel, { numCrops: 4 }).width; // => 672
 */
export function hdTransform(image: RgbImage, options: { numCrops: number }): RgbImage {
  expectKnownOptions('hdTransform', options, ['numCrops']);
  expectImage('hdTransform', image, 3);
  const { transposed, resizedWidth, resizedHeight } = hdTransformSize(image.width, image.height, options.numCrops);
  // A portrait image is transposed before resizing, not only in thought: the two passes round in the other order.
  if (!transposed) return padToMultiple(resizeBilinear(image, resizedWidth, resizedHeight));
  return transposeImage(padToMultiple(resizeBilinear(transposeImage(image), resizedHeight, resizedWidth)));
}
