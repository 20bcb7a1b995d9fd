import type { RgbImage } from '@phiblocks/vision';

/** A PNG as `fast-png` gives it: the samples as they are stored, rows of less than 8 bits per sample packed into bytes. */
export interface DecodedPng {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray | Uint16Array;
  readonly depth: number;
  readonly channels: number;
  readonly palette?: readonly ArrayLike<number>[] | undefined;
}

/** 8-bit RGB of every kind of PNG: grey, palette, colour, with or without alpha, 1 to 16 bits. Alpha is dropped. */
export function pngToRgb({ width, height, data, depth, channels, palette }: DecodedPng): RgbImage {
  const rgb = new Uint8Array(width * height * 3);
  const isPacked = depth < 8;
  const bytesPerRow = isPacked ? Math.ceil((width * depth) / 8) : width * channels;
  const largest = 2 ** depth - 1;
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += 3) {
      // Samples of less than a byte come alone in their pixel: only grey and palette pictures have them.
      const bit = x * depth;
      const stored = isPacked
        ? (data[y * bytesPerRow + (bit >> 3)]! >> (8 - depth - (bit & 7))) & largest
        : data[y * bytesPerRow + x * channels]!;
      if (palette) {
        const colour = palette[stored]!;
        rgb[to] = colour[0]!;
        rgb[to + 1] = colour[1]!;
        rgb[to + 2] = colour[2]!;
      } else if (channels <= 2) {
        const grey = depth === 16 ? stored >> 8 : (stored * 255) / largest;
        rgb.fill(grey, to, to + 3);
      } else {
        for (let channel = 0; channel < 3; channel++) {
          const sample = data[y * bytesPerRow + x * channels + channel]!;
          rgb[to + channel] = depth === 16 ? sample >> 8 : sample;
        }
      }
    }
  }
  return { width, height, data: rgb };
}
