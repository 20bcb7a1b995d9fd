import { describe, expect, it } from 'vitest';
import { grayToRgb } from './gray-to-rgb.ts';
import { padToMultiple } from './pad-to-multiple.ts';
import { rgbaToRgb } from './rgba-to-rgb.ts';
import { transposeImage } from './transpose-image.ts';

describe('transposeImage', () => {
  it('swaps x and y, and twice gives the image back', () => {
    // Three columns, two rows: 1 2 3 / 4 5 6, as red levels.
    const image = { width: 3, height: 2, data: Uint8Array.from([1, 2, 3, 4, 5, 6].flatMap((red) => [red, 0, 9])) };
    const transposed = transposeImage(image);
    expect([transposed.width, transposed.height]).toEqual([2, 3]);
    expect(Array.from(transposed.data.filter((_, i) => i % 3 === 0))).toEqual([1, 4, 2, 5, 3, 6]);
    expect(transposeImage(transposed)).toEqual(image);
  });
});

describe('padToMultiple', () => {
  it('an odd rest goes below', () => {
    const image = { width: 2, height: 5, data: new Uint8Array(30) };
    const { width, height, data } = padToMultiple(image, 8);
    expect([width, height]).toEqual([2, 8]);
    expect(Array.from(data)).toEqual([...Array(6).fill(255), ...Array(30).fill(0), ...Array(12).fill(255)]);
  });

  it('nothing to pad gives a copy', () => {
    const image = { width: 1, height: 4, data: Uint8Array.from({ length: 12 }, (_, i) => i) };
    expect(padToMultiple(image, 2)).toEqual(image);
    expect(padToMultiple(image, 2).data).not.toBe(image.data);
  });

  it('rejects a multiple that is none, and one that is too large', () => {
    const image = { width: 1, height: 1, data: new Uint8Array(3) };
    expect(() => padToMultiple(image, 0)).toThrow(/^ARGUMENT padToMultiple\(multiple\)/);
    expect(() => padToMultiple(image, 1e9)).toThrow(/^IM_TOO_LARGE/);
  });
});

describe('rgbaToRgb', () => {
  const image = { width: 2, height: 1, data: Uint8Array.of(10, 20, 30, 0, 200, 100, 1, 255) };

  it('IM-07: drops alpha as the published processor does', () => {
    expect(Array.from(rgbaToRgb(image).data)).toEqual([10, 20, 30, 200, 100, 1]);
  });

  it('IM-07: blends on white when asked', () => {
    expect(Array.from(rgbaToRgb(image, { alpha: 'blendOnWhite' }).data)).toEqual([255, 255, 255, 200, 100, 1]);
    const half = { width: 1, height: 1, data: Uint8Array.of(0, 100, 255, 128) };
    // 100 · 128/255 + 255 · 127/255 = 177.196
    expect(Array.from(rgbaToRgb(half, { alpha: 'blendOnWhite' }).data)).toEqual([127, 177, 255]);
  });

  it('takes the bytes of a canvas', () => {
    expect(rgbaToRgb({ ...image, data: Uint8ClampedArray.from(image.data) })).toEqual(rgbaToRgb(image));
  });

  it('rejects other options', () => {
    const other = 'black' as 'drop';
    expect(() => rgbaToRgb(image, { alpha: other })).toThrow(
      "ARGUMENT rgbaToRgb(options.alpha): expected 'drop' or 'blendOnWhite', got 'black'",
    );
    const misspelt = { alpha: undefined, alfa: 'drop' };
    expect(() => rgbaToRgb(image, misspelt)).toThrow(/^OPTION_UNKNOWN rgbaToRgb\(alfa\)/);
  });
});

describe('bytes that are no image', () => {
  it('IM-04: width or height 0, negative, fractional, not a number', () => {
    for (const bad of [0, -1, 1.5, Number.NaN, Infinity]) {
      expect(() => grayToRgb({ width: bad, height: 1, data: new Uint8Array(1) })).toThrow(
        /^IM_SIZE grayToRgb\(width\)/,
      );
      expect(() => grayToRgb({ width: 1, height: bad, data: new Uint8Array(1) })).toThrow(
        /^IM_SIZE grayToRgb\(height\)/,
      );
    }
  });

  it('IM-03: more than 100 million pixels, before anything is allocated', () => {
    const bomb = { width: 50_000, height: 50_000, data: new Uint8Array(0) };
    for (const refuse of [grayToRgb, rgbaToRgb, transposeImage, padToMultiple]) {
      expect(() => refuse(bomb)).toThrow(/^IM_TOO_LARGE .*expected at most 100000000 pixels, got '50000 × 50000'/);
    }
  });

  it('IM-02: fewer or more bytes than the size says', () => {
    expect(() => grayToRgb({ width: 2, height: 2, data: new Uint8Array(3) })).toThrow(/^IM_DATA grayToRgb.* got 3$/);
    expect(() => rgbaToRgb({ width: 2, height: 2, data: new Uint8Array(12) })).toThrow(/^IM_DATA rgbaToRgb/);
    expect(() => transposeImage({ width: 2, height: 2, data: new Uint8Array(16) })).toThrow(/^IM_DATA transposeImage/);
  });

  it('IM-06: 16-bit samples are not taken for bytes', () => {
    const wide = new Uint16Array(12) as ArrayLike<number> as Uint8Array;
    expect(() => transposeImage({ width: 2, height: 2, data: wide })).toThrow(/^IM_DATA transposeImage/);
  });
});
