import { Phi3Error } from '@phiblocks/tensor';
import { ImageError, type RgbImage, rgbaToRgb } from '@phiblocks/vision';
import { pngToRgb } from './png-to-rgb.ts';
import { readImageSize } from './read-image-size.ts';

/**
 * Decodes a PNG or JPEG file to RGB bytes as Pillow does: without turning by EXIF orientation, without colour profiles,
 * without alpha. The decoders are optional peers, imported when they are needed: `fast-png`, and `@cwasm/jpeg-turbo`, which
 * gives the very bytes that Pillow gives. Of an animated PNG it is the first picture; 16-bit channels lose their lower byte.
 *
 * Size and format are read from the first bytes, whatever the file is called, and checked before anything is decoded.
 *
 * @param file - the bytes of the file
 * @throws Phi3Error `IM_FORMAT` for a file that is neither PNG nor JPEG, `IM_DECODE` for a broken or cut one,
 * `IM_DECODER_MISSING` when the peer is not installed
 * @throws ImageError `IM_SIZE`, `IM_TOO_LARGE`
 */
export async function decodeImage(file: Uint8Array): Promise<RgbImage> {
  const { format, width, height } = readImageSize(file);
  if (width * height > 100_000_000) {
    throw new ImageError({
      code: 'IM_TOO_LARGE',
      function: 'decodeImage',
      argument: 'file',
      expected: 'at most 100000000 pixels',
      got: `${width} × ${height}`,
    });
  }
  if (format === 'png') {
    const { decode } = await importDecoder('fast-png', () => import('fast-png'));
    return decoded(() => pngToRgb(decode(file, { checkCrc: true })));
  }
  const { decode } = await importDecoder('@cwasm/jpeg-turbo', async () => {
    const module = await import('@cwasm/jpeg-turbo');
    return 'default' in module ? module.default : module; // a CommonJS package
  });
  return decoded(() => rgbaToRgb(decode(file)));
}

async function importDecoder<Module>(name: string, load: () => Promise<Module>): Promise<Module> {
  try {
    return await load();
  } catch (cause) {
    throw new Phi3Error({
      code: 'IM_DECODER_MISSING',
      function: 'decodeImage',
      expected: `the package ${name}`,
      hint: `Install ${name} beside this package, or give RGB bytes.`,
      cause,
    });
  }
}

function decoded(decode: () => RgbImage): RgbImage {
  try {
    return decode();
  } catch (cause) {
    throw new Phi3Error({ code: 'IM_DECODE', function: 'decodeImage', expected: 'a whole PNG or JPEG file', cause });
  }
}
