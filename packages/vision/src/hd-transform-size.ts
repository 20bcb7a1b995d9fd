import { ImageError } from './image-error.ts';
import { expectImageSize } from './rgb-image.ts';

/** Side of a crop in pixels: the input size of CLIP ViT-L/14-336. */
export const cropSize = 336;

// The published settings are 16 and 4. 64 crops are 7 million pixels, 87 MB of pixel values and about 9,400 tokens:
// beyond any use, and a limit before anything is allocated.
const mostCrops = 64;

/** What the HD transform does to an image of some size. All in pixels and in the image's own orientation. */
export interface HdTransformSize {
  /** True for a portrait image: it is transposed, treated as landscape, and transposed back. */
  readonly transposed: boolean;
  /** Size after resizing, before padding. */
  readonly resizedWidth: number;
  readonly resizedHeight: number;
  /** White pixels above (left of a portrait image). */
  readonly paddingBefore: number;
  /** White pixels below (right of a portrait image). */
  readonly paddingAfter: number;
  /** Final size, multiples of 336. */
  readonly width: number;
  readonly height: number;
}

/**
 * The sizes of the HD transform: how an image is resized and padded to a grid of at most `numCrops` crops of 336 × 336.
 *
 * Source: `image_processing_phi3_v.py` (`HD_transform`), published with the checkpoint. The long side becomes
 * `336 · scale` with the largest `scale` for which `scale · ceil(scale / ratio) ≤ numCrops`; small images are enlarged.
 *
 * @param width - of the image, pixels
 * @param height - of the image, pixels
 * @param numCrops - 16 for Phi-3-vision, 4 for Phi-3.5-vision; from 1 to 64
 * @throws ImageError `IM_SIZE`, `IM_TOO_LARGE`, `IM_NUM_CROPS`; `IM_ASPECT_RATIO` where the reference too fails, because
 * the short side would become 0 pixels
 * @example
 * hdTransformSize(1080, 1920, 16).resizedWidth; // => 945
 * hdTransformSize(1000, 200, 16); // => { transposed: false, resizedWidth: 2688, resizedHeight: 537, paddingBefore: 67, paddingAfter: 68, width: 2688, height: 672 }
 */
export function hdTransformSize(width: number, height: number, numCrops: number): HdTransformSize {
  expectImageSize('hdTransformSize', width, height);
  if (!Number.isInteger(numCrops) || numCrops < 1 || numCrops > mostCrops) {
    throw new ImageError({
      code: 'IM_NUM_CROPS',
      function: 'hdTransformSize',
      argument: 'numCrops',
      expected: `a whole number from 1 to ${mostCrops}`,
      got: numCrops,
    });
  }
  const transposed = width < height;
  const ratio = transposed ? height / width : width / height;
  let scale = 1;
  while ((scale + 1) * Math.ceil((scale + 1) / ratio) <= numCrops) scale++;
  const long = cropSize * scale;
  // Divide by the rounded ratio, as published: `long * height / width` differs by one in many cases.
  const short = Math.trunc(long / ratio);
  if (short < 1) {
    throw new ImageError({
      code: 'IM_ASPECT_RATIO',
      function: 'hdTransformSize',
      argument: 'image',
      expected: `a long side of at most ${long} times the short side`,
      got: `${width} × ${height}`,
      hint: 'Crop or pad the image first.',
    });
  }
  const padded = Math.ceil(short / cropSize) * cropSize;
  const paddingBefore = Math.trunc((padded - short) / 2);
  return {
    transposed,
    resizedWidth: transposed ? short : long,
    resizedHeight: transposed ? long : short,
    paddingBefore,
    paddingAfter: padded - short - paddingBefore,
    width: transposed ? padded : long,
    height: transposed ? long : padded,
  };
}
