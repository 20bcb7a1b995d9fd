import { Phi3Error } from '@phiblocks/tensor';

/** What the first bytes of an image file say. */
export interface ImageFileSize {
  readonly format: 'png' | 'jpeg';
  readonly width: number;
  readonly height: number;
}

/**
 * Format and size of an image file, without decoding it.
 *
 * Source: PNG, ISO/IEC 15948 §11.2.2 (IHDR); JPEG, ITU-T T.81 §B.2.2 (frame header).
 *
 * @throws Phi3Error `IM_FORMAT` for a file that is neither, `IM_DECODE` for one that ends before its size
 */
export function readImageSize(file: Uint8Array): ImageFileSize {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const pngSignature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
  if (pngSignature.every((byte, i) => byte === file[i])) {
    if (file.length < 24) throw cutShort(file);
    return { format: 'png', width: view.getUint32(16), height: view.getUint32(20) };
  }
  if (file[0] !== 0xff || file[1] !== 0xd8 || file[2] !== 0xff) {
    throw new Phi3Error({
      code: 'IM_FORMAT',
      function: 'decodeImage',
      expected: 'a PNG or JPEG file, by its first bytes',
      got: [...file.subarray(0, 8)],
      hint: 'Convert other formats first, or give RGB bytes.',
    });
  }
  // Segments one behind the other until a frame header: marker, length, then precision, height, width.
  let at = 2;
  while (at + 9 <= file.length) {
    if (file[at] !== 0xff) throw cutShort(file);
    const marker = file[at + 1]!;
    if (marker === 0xff) {
      at++; // fill byte
      continue;
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame) return { format: 'jpeg', height: view.getUint16(at + 5), width: view.getUint16(at + 7) };
    at += 2 + view.getUint16(at + 2);
  }
  throw cutShort(file);
}

function cutShort(file: Uint8Array): Phi3Error {
  return new Phi3Error({
    code: 'IM_DECODE',
    function: 'decodeImage',
    expected: 'an image file that says its size',
    got: `${file.length} bytes`,
  });
}
