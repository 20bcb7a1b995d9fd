import { createSeededRandom } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hdTransform } from './hd-transform.ts';
import { hdTransformSize } from './hd-transform-size.ts';
import { imageTokenCount } from './image-token-count.ts';
import { transposeImage } from './transpose-image.ts';

const side = fc.integer({ min: 1, max: 5000 });
const numCrops = fc.integer({ min: 1, max: 64 });

describe('hdTransformSize', () => {
  // Worked out by the rule, in the specification of the family: size, crops, resized, padded, tokens.
  it.each([
    [336, 336, 16, [1344, 1344], [1344, 1344], 2509],
    [640, 480, 16, [1344, 1008], [1344, 1008], 1921],
    [480, 640, 16, [1008, 1344], [1008, 1344], 1933],
    [1920, 1080, 16, [1680, 945], [1680, 1008], 2353],
    [1080, 1920, 16, [945, 1680], [1008, 1680], 2377],
    [1000, 200, 16, [2688, 537], [2688, 672], 2485],
    [3000, 100, 16, [5376, 179], [5376, 336], 2473],
    [336, 336, 4, [672, 672], [672, 672], 757],
    [1920, 1080, 4, [672, 378], [672, 672], 757],
    [1000, 200, 4, [1344, 268], [1344, 336], 745],
    [1, 1, 16, [1344, 1344], [1344, 1344], 2509],
  ])('%i × %i into %i crops', (width, height, crops, resized, padded, tokens) => {
    const size = hdTransformSize(width, height, crops);
    expect([size.resizedWidth, size.resizedHeight]).toEqual(resized);
    expect([size.width, size.height]).toEqual(padded);
    expect(imageTokenCount(size.height, size.width)).toBe(tokens);
  });

  it('the paddings of the same table', () => {
    const paddings = (width: number, height: number, crops: number) => {
      const { paddingBefore, paddingAfter } = hdTransformSize(width, height, crops);
      return [paddingBefore, paddingAfter];
    };
    expect(paddings(1920, 1080, 16)).toEqual([31, 32]);
    expect(paddings(1000, 200, 16)).toEqual([67, 68]);
    expect(paddings(3000, 100, 16)).toEqual([78, 79]);
    expect(paddings(1920, 1080, 4)).toEqual([147, 147]);
    expect(paddings(1000, 200, 4)).toEqual([34, 34]);
  });

  it('uses as many crops as the rule allows, never more', () => {
    fc.assert(
      fc.property(side, side, numCrops, (width, height, crops) => {
        fc.pre(Math.max(width, height) / Math.min(width, height) < 300);
        const size = hdTransformSize(width, height, crops);
        expect(size.width % 336).toBe(0);
        expect(size.height % 336).toBe(0);
        const used = (size.width / 336) * (size.height / 336);
        expect(used).toBeLessThanOrEqual(crops);
        // The definition of the scale, counted down instead of up.
        const ratio = Math.max(width, height) / Math.min(width, height);
        let scale = crops;
        while (scale * Math.ceil(scale / ratio) > crops) scale--;
        expect(Math.max(size.width, size.height)).toBe(336 * scale);
        expect(size.paddingAfter - size.paddingBefore).toBeOneOf([0, 1]);
      }),
      { seed: 5 },
    );
  });

  it('a transposed image has the transposed sizes', () => {
    fc.assert(
      fc.property(side, side, numCrops, (width, height, crops) => {
        fc.pre(width !== height && Math.max(width, height) / Math.min(width, height) < 300);
        const one = hdTransformSize(width, height, crops);
        const other = hdTransformSize(height, width, crops);
        expect([other.width, other.height, other.resizedWidth, other.transposed]).toEqual([
          ...[one.height, one.width, one.resizedHeight],
          !one.transposed,
        ]);
      }),
      { seed: 6 },
    );
  });

  it('IM-05: refuses a side that the reference would resize to 0 pixels', () => {
    expect(hdTransformSize(5376, 1, 16).resizedHeight).toBe(1);
    expect(() => hdTransformSize(5377, 1, 16)).toThrow(
      "IM_ASPECT_RATIO hdTransformSize(image): expected a long side of at most 5376 times the short side, got '5377 × 1'",
    );
    expect(() => hdTransformSize(1, 100_000, 4)).toThrow(/^IM_ASPECT_RATIO/);
  });

  it('IM-15: refuses a number of crops that is none or absurd', () => {
    for (const bad of [0, -4, 3.5, 65, Number.NaN, Infinity]) {
      expect(() => hdTransformSize(10, 10, bad)).toThrow(
        `IM_NUM_CROPS hdTransformSize(numCrops): expected a whole number from 1 to 64, got ${bad}`,
      );
    }
  });

  it('IM-03, IM-04: refuses sizes that cannot be', () => {
    expect(() => hdTransformSize(0, 10, 16)).toThrow(/^IM_SIZE hdTransformSize\(width\)/);
    expect(() => hdTransformSize(10, 0, 16)).toThrow(/^IM_SIZE hdTransformSize\(height\)/);
    expect(() => hdTransformSize(50_000, 50_000, 16)).toThrow(/^IM_TOO_LARGE/);
  });
});

describe('hdTransform', () => {
  const random = createSeededRandom(8);
  const image = { width: 31, height: 17, data: Uint8Array.from({ length: 31 * 17 * 3 }, () => random.integer(256)) };

  it('treats a portrait image as its transposed landscape', () => {
    const landscape = hdTransform(image, { numCrops: 4 });
    expect(
      transposeImage(hdTransform(transposeImage(image), { numCrops: 4 })).data.every(
        (byte, i) => byte === landscape.data[i],
      ),
    ).toBe(true);
  });

  it('pads with white, above and below', () => {
    const black = { width: 100, height: 20, data: new Uint8Array(6000) };
    const { width, height, data } = hdTransform(black, { numCrops: 4 });
    expect([width, height]).toEqual([1344, 336]);
    const levels = Array.from({ length: height }, (_, y) => data[y * width * 3]!);
    expect(levels).toEqual([...Array(34).fill(255), ...Array(268).fill(0), ...Array(34).fill(255)]);
  });

  it('rejects a bad image, and options it does not know', () => {
    expect(() => hdTransform({ ...image, data: new Uint8Array(5) }, { numCrops: 4 })).toThrow(/^IM_DATA hdTransform/);
    expect(() => hdTransform(image, { numCrops: 0 })).toThrow(/^IM_NUM_CROPS/);
    const misspelt = { numCrops: 4, num_crops: 16 };
    expect(() => hdTransform(image, misspelt)).toThrow(/^OPTION_UNKNOWN hdTransform\(num_crops\)/);
  });
});

describe('imageTokenCount', () => {
  it('is the number of vectors of the arrangement', () => {
    for (const [rows, columns] of [
      [1, 1],
      [4, 4],
      [16, 1],
      [3, 5],
    ] as const) {
      const withNewlines = (height: number, width: number) => height * (width + 1);
      const counted = withNewlines(12 * rows, 12 * columns) + 1 + withNewlines(12, 12);
      expect(imageTokenCount(336 * rows, 336 * columns)).toBe(counted);
    }
  });

  it('takes only sizes after the HD transform', () => {
    expect(() => imageTokenCount(480, 640)).toThrow(
      'IM_SIZE imageTokenCount(height): expected a multiple of 336: the size after the HD transform, got 480',
    );
    expect(() => imageTokenCount(336, 0)).toThrow(/^IM_SIZE imageTokenCount\(width\)/);
  });
});
