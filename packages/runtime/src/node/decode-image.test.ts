import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import { encode } from 'fast-png';
import { describe, expect, it } from 'vitest';
import { makeTransparentPng } from '../../test/transparent-png.ts';
import { decodeImage } from './decode-image.ts';
import { pngToRgb } from './png-to-rgb.ts';
import { readImageSize } from './read-image-size.ts';

describeWithShared('decodeImage against Pillow', 'vision', () => {
  const { cases } = JSON.parse(readFileSync(sharedPath('vision', 'expected.json'), 'utf8')) as {
    cases: { file: string; width: number; height: number; rgb_sha256: string }[];
  };
  it.each(cases)('$file: every byte', async ({ file, width, height, rgb_sha256 }) => {
    const image = await decodeImage(readFileSync(join(sharedPath('vision', 'images'), file)));
    expect([image.width, image.height]).toEqual([width, height]);
    expect(createHash('sha256').update(image.data).digest('hex')).toBe(rgb_sha256);
  });

  it.each(['wolves.jpg', 'square_336.png'])('%s cut anywhere is an error', async (file) => {
    const bytes = readFileSync(join(sharedPath('vision', 'images'), file));
    for (const share of [0.0005, 0.1, 0.5, 0.95]) {
      const cut = decodeImage(bytes.subarray(0, Math.max(4, Math.floor(share * bytes.length))));
      await expect(cut).rejects.toMatchObject({ code: expect.stringMatching(/^IM_(DECODE|FORMAT)$/) });
    }
  });
});

it('IM-07 colours under transparency are read as they are stored', async () => {
  const { file, width, height, rgb } = makeTransparentPng();
  const image = await decodeImage(file);
  expect([image.width, image.height]).toEqual([width, height]);
  expect([...image.data]).toEqual(rgb);
});

describe('pngToRgb', () => {
  const row = (depth: number, channels: number, data: number[], palette?: number[][]) =>
    [
      ...pngToRgb({
        width: (data.length * 8) / Math.min(depth, 8) / channels,
        height: 1,
        data: depth === 16 ? Uint16Array.from(data) : Uint8Array.from(data),
        depth,
        channels,
        palette,
      }).data,
    ].filter((_, i) => i % 3 === 0);

  it.each([
    ['1-bit grey', 1, 1, [0b10100000], [255, 0, 255, 0, 0, 0, 0, 0]],
    ['2-bit grey', 2, 1, [0b00011011], [0, 85, 170, 255]],
    ['4-bit grey', 4, 1, [0x0f], [0, 255]],
    ['8-bit grey', 8, 1, [7], [7]],
    ['8-bit grey with alpha', 8, 2, [7, 0, 9, 255], [7, 9]],
    ['8-bit RGB', 8, 3, [1, 2, 3, 4, 5, 6], [1, 4]],
    ['8-bit RGBA', 8, 4, [1, 2, 3, 0], [1]],
  ])('%s', (_, depth, channels, data, expected) => {
    expect(row(depth, channels, data)).toEqual(expected);
  });

  it('16 bits lose their lower byte', () => {
    const image = { width: 1, height: 1, data: Uint16Array.of(0x1234), depth: 16, channels: 1 };
    expect([...pngToRgb(image).data]).toEqual([0x12, 0x12, 0x12]);
  });

  it('packed palette indexes begin anew in every row', () => {
    const palette = [
      [1, 1, 1],
      [2, 2, 2],
    ];
    const image = { width: 3, height: 2, data: Uint8Array.of(0b01000000, 0b10100000), depth: 1, channels: 1, palette };
    expect([...pngToRgb(image).data].filter((_, i) => i % 3 === 0)).toEqual([1, 2, 1, 2, 1, 2]);
  });

  it('comes back from a file', async () => {
    const file = encode({ width: 2, height: 1, data: Uint8Array.of(1, 2, 3, 4, 5, 6), channels: 3, depth: 8 });
    expect(await decodeImage(file)).toEqual({ width: 2, height: 1, data: Uint8Array.of(1, 2, 3, 4, 5, 6) });
  });
});

describe('image files that cannot be used', () => {
  const png = encode({ width: 2, height: 1, data: Uint8Array.of(1, 2, 3, 4, 5, 6), channels: 3, depth: 8 });
  const withSize = (width: number, height: number) => {
    const bytes = png.slice();
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    view.setUint32(16, width);
    view.setUint32(20, height);
    return bytes;
  };
  it.each([
    ['nothing', new Uint8Array(), 'IM_FORMAT'],
    ['text', new TextEncoder().encode('<svg xmlns="http://www.w3.org/2000/svg"/>'), 'IM_FORMAT'],
    ['a GIF', new TextEncoder().encode('GIF89a\x01\x00\x01\x00'), 'IM_FORMAT'],
    ['the beginning of a PNG', png.slice(0, 20), 'IM_DECODE'],
    ['a PNG with a wrong checksum', withSize(3, 1), 'IM_DECODE'],
    ['a PNG of 2.5 billion pixels in a few bytes', withSize(50_000, 50_000), 'IM_TOO_LARGE'],
    ['a PNG without width', withSize(0, 5), 'IM_DECODE'],
    ['the beginning of a JPEG', Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 16), 'IM_DECODE'],
  ])('%s', async (_, file, code) => {
    await expect(decodeImage(file)).rejects.toMatchObject({ code });
  });

  it('the size of a JPEG is read behind its other segments', () => {
    const file = [0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 1, 0xff, 0xff, 0xc2, 0, 11, 8, 0, 5, 0, 6, 1, 1, 0x11, 0];
    expect(readImageSize(Uint8Array.from(file))).toEqual({ format: 'jpeg', width: 6, height: 5 });
  });
});
