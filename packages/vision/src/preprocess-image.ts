import { expectKnownOptions, type FloatTensor } from '@phiblocks/tensor';
import { hdTransform } from './hd-transform.ts';
import { cropSize } from './hd-transform-size.ts';
import { imageTokenCount } from './image-token-count.ts';
import { normalizeClip } from './normalize-clip.ts';
import { resizeBicubicGlobal } from './resize-bicubic-global.ts';
import type { RgbImage } from './rgb-image.ts';

/** An image as the encoder wants it. */
export interface PreprocessedImage {
  /**
   * `[numCrops + 1, 3, 336, 336]`: the global view, then the crops row by row, then **exact zeros** for the crops that the
   * image does not use (zeros, not normalised black; the published processor pads so to batch images). The encoder need
   * not run on those.
   */
  readonly pixelValues: FloatTensor;
  /** Size after the HD transform, pixels, multiples of 336. */
  readonly imageSize: { readonly height: number; readonly width: number };
  /** How many ids stand for the image in the prompt. */
  readonly numImageTokens: number;
}

/**
 * All of Phi-3-vision's image preprocessing: HD transform, normalisation, global view, cutting into crops.
 *
 * Source: `image_processing_phi3_v.py` (`Phi3VImageProcessor.preprocess`). Equal bit for bit to what Pillow 9.4 and torch
 * 1.13 computed for the reference data; on another processor torch itself may round the global view otherwise, by 3e-7.
 *
 * @param image - 8-bit RGB
 * @param options - `numCrops`: 16 for Phi-3-vision, 4 for Phi-3.5-vision; from 1 to 64
 * @throws ImageError `IM_SIZE`, `IM_TOO_LARGE`, `IM_DATA`, `IM_NUM_CROPS`, `IM_ASPECT_RATIO`
 * @throws Phi3Error `OPTION_UNKNOWN`
 * @example
 * const pixel = { width: 1, height: 1, data: Uint8Array.of(10, 20, 30) };
 * const { pixelValues, imageSize, numImageTokens } = preprocessImage(pixel, { numCrops: 1 });
 * pixelValues.shape; // => [2, 3, 336, 336]
 * imageSize; // => { height: 336, width: 336 }
 * numImageTokens; // => 313
 */
export function preprocessImage(image: RgbImage, options: { numCrops: number }): PreprocessedImage {
  expectKnownOptions('preprocessImage', options, ['numCrops']);
  const transformed = hdTransform(image, options);
  const { width, height } = transformed;
  const pixels = normalizeClip(transformed); //                                     [3, height, width]
  const globalView = resizeBicubicGlobal(pixels); //                                [3, 336, 336]

  const data = new Float32Array((options.numCrops + 1) * 3 * cropSize * cropSize);
  data.set(globalView.data);
  let to = globalView.data.length;
  for (let top = 0; top < height; top += cropSize) {
    for (let left = 0; left < width; left += cropSize) {
      for (let channel = 0; channel < 3; channel++) {
        for (let y = top; y < top + cropSize; y++, to += cropSize) {
          const from = (channel * height + y) * width + left;
          data.set(pixels.data.subarray(from, from + cropSize), to);
        }
      }
    }
  }
  return {
    pixelValues: { data, shape: [options.numCrops + 1, 3, cropSize, cropSize] },
    imageSize: { height, width },
    numImageTokens: imageTokenCount(height, width),
  };
}
