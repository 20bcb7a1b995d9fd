import { Phi3Error } from '@phiblocks/tensor';
import { ImageError, type RgbaImage, type RgbImage, rgbaToRgb } from '@phiblocks/vision';

/** An image as callers have it: RGB or RGBA bytes (an `ImageData` is RGBA), or a file. */
export type ImageInput = RgbImage | RgbaImage | Blob;

/** Makes RGB bytes of an image file. */
export type ImageDecoder = (file: Blob) => Promise<RgbImage>;

/**
 * RGB bytes of an image, in memory of their own. Alpha is dropped, as the published processor does.
 *
 * @param decode - for files; default {@link decodeInBrowser}
 * @throws ImageError `IM_SIZE`, `IM_TOO_LARGE`, `IM_DATA` for bytes that do not fit their size
 * @throws Phi3Error those of the decoder
 */
export async function readImage(image: ImageInput, decode: ImageDecoder = decodeInBrowser): Promise<RgbImage> {
  if (isBlob(image)) return decode(image);
  const { width, height, data } = image;
  if (data?.length === width * height * 4) return rgbaToRgb(image);
  if (data?.length !== width * height * 3) {
    throw new ImageError({
      code: 'IM_DATA',
      function: 'readImage',
      argument: 'image.data',
      expected: `${width} · ${height} · 3 bytes of RGB or · 4 of RGBA`,
      got: data?.length,
    });
  }
  return { width, height, data: Uint8Array.from(data) };
}

/**
 * Decodes a file with the browser's own decoder. Pixels are those of the file, without colour conversion. Two things a browser
 * does that the published processor does not: it turns pictures by their EXIF orientation, and colours under full
 * transparency are lost.
 *
 * @throws Phi3Error `IM_DECODER_MISSING` where there is no `createImageBitmap`; `IM_DECODE` when the file is no image that
 * the browser reads
 */
export async function decodeInBrowser(file: Blob): Promise<RgbImage> {
  if (typeof createImageBitmap === 'undefined' || typeof OffscreenCanvas === 'undefined') {
    throw new Phi3Error({
      code: 'IM_DECODER_MISSING',
      function: 'readImage',
      expected: 'createImageBitmap and OffscreenCanvas, or a decoder',
      hint: 'In Node, load the model with @phiblocks/runtime/node, or give RGB bytes, or the option decodeImage.',
    });
  }
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: 'none', premultiplyAlpha: 'none' });
  } catch (cause) {
    throw new Phi3Error({ code: 'IM_DECODE', function: 'readImage', expected: 'an image file', got: file.type, cause });
  }
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })!;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return rgbaToRgb(context.getImageData(0, 0, width, height));
}

/** By name and not by `instanceof`: files may come from another frame or a test runner's sandbox. */
function isBlob(image: ImageInput): image is Blob {
  return /^\[object (Blob|File)\]$/.test(Object.prototype.toString.call(image));
}
