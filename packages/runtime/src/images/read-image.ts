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
 * Decodes a file with the browser's own decoder. Pixels are those of the file, without colour conversion. One thing a browser
 * does that the published processor does not: it turns pictures by their EXIF orientation.
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
  try {
    const { width, height } = bitmap;
    const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })!;
    context.drawImage(bitmap, 0, 0);
    const image = context.getImageData(0, 0, width, height);
    return rgbaToRgb(isOpaque(image) ? image : readThroughTexture(bitmap));
  } finally {
    bitmap.close();
  }
}

function isOpaque({ data }: ImageData): boolean {
  for (let at = 3; at < data.length; at += 4) if (data[at] !== 255) return false;
  return true;
}

/**
 * The bytes of a picture that is transparent in places. A 2D canvas multiplies colours by their alpha and rounds them, so
 * that what the published processor reads, colour without alpha, cannot be had from it; a texture keeps both apart.
 */
function readThroughTexture(bitmap: ImageBitmap): RgbaImage {
  const { width, height } = bitmap;
  const gl = new OffscreenCanvas(1, 1).getContext('webgl2');
  if (!gl || Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) {
    throw new Phi3Error({
      code: 'IM_DECODE',
      function: 'readImage',
      expected: gl
        ? `at most ${gl.getParameter(gl.MAX_TEXTURE_SIZE)} pixels a side, for a picture with transparency`
        : 'WebGL2, to read a picture with transparency',
      got: `${width} × ${height}`,
      hint: 'Give a picture without an alpha channel, RGB bytes, or the option decodeImage.',
    });
  }
  const data = new Uint8Array(width * height * 4);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(
    gl.FRAMEBUFFER,
    gl.COLOR_ATTACHMENT0,
    gl.TEXTURE_2D,
    gl.getParameter(gl.TEXTURE_BINDING_2D),
    0,
  );
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, data);
  gl.getExtension('WEBGL_lose_context')?.loseContext(); // frees the device memory now
  return { width, height, data };
}

/** By name and not by `instanceof`: files may come from another frame or a test runner's sandbox. */
function isBlob(image: ImageInput): image is Blob {
  return /^\[object (Blob|File)\]$/.test(Object.prototype.toString.call(image));
}
