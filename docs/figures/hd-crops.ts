import { type HdTransformSize, hdTransform, hdTransformSize, imageTokenCount, type RgbImage } from '@phiblocks/vision';

/** What the HD transform makes of a picture of some size. */
export interface CropGrid {
  readonly size: HdTransformSize;
  readonly numRows: number;
  readonly numColumns: number;
  /** Tokens of the prompt that stand for the picture. */
  readonly numTokens: number;
  /** Share of the final picture that is padding. */
  readonly paddingShare: number;
  /** Pixels of the picture for each pixel of the crops, along a side; above 1 where small pictures are enlarged. */
  readonly enlargement: number;
}

/** Side of a crop, as the package has it: what a picture of one pixel becomes when one crop is allowed. */
export const cropSize = hdTransformSize(1, 1, 1).width;

/** The crops of a picture of a size, with a number of crops at most. */
export function cropGrid(width: number, height: number, numCrops: number): CropGrid {
  const size = hdTransformSize(width, height, numCrops);
  return {
    size,
    numRows: size.height / cropSize,
    numColumns: size.width / cropSize,
    numTokens: imageTokenCount(size.height, size.width),
    paddingShare: 1 - (size.resizedWidth * size.resizedHeight) / (size.width * size.height),
    enlargement: Math.max(size.resizedWidth, size.resizedHeight) / Math.max(width, height),
  };
}

/** A picture as the crops see it: resized and padded, bit for bit as published. */
export function transformed(image: RgbImage, numCrops: number): RgbImage {
  return hdTransform(image, { numCrops });
}

/** A picture to try with, of any size: rings around the middle over a slope of colours, so that every part differs. */
export function samplePicture(width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  const scale = Math.min(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const distance = Math.hypot(x - width / 2, y - height / 2) / scale;
      const ring = Math.floor(distance * 12) % 2 === 0 ? 0 : 60;
      data.set([40 + (170 * x) / width, 60 + (140 * y) / height, 120 + ring], 3 * (y * width + x));
    }
  }
  return { width, height, data };
}
