import type { RgbImage } from '../../src/index.ts';
import { decodeJpeg } from './decode-jpeg.ts';
import { decodePng } from './decode-png.ts';

/** Decodes by the first bytes, not by the name: one of the pictures is a PNG that is called .jpg. */
export function decodeImage(file: Uint8Array): RgbImage {
  return file[0] === 0xff ? decodeJpeg(file) : decodePng(file);
}
