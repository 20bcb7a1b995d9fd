import { createSeededRandom, expectClose } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hdTransform } from './hd-transform.ts';
import { normalizeClip } from './normalize-clip.ts';
import { preprocessImage } from './preprocess-image.ts';
import { resizeBicubicGlobal } from './resize-bicubic-global.ts';

const mean = [0.48145466, 0.4578275, 0.40821073];
const std = [0.26862954, 0.26130258, 0.27577711];

describe('normalizeClip', () => {
  it('is (byte / 255 - mean) / std for every byte and channel, channels first', () => {
    const data = Uint8Array.from({ length: 256 * 3 }, (_, i) => Math.floor(i / 3));
    const { data: values, shape } = normalizeClip({ width: 16, height: 16, data });
    expect(shape).toEqual([3, 16, 16]);
    const expected = mean.flatMap((m, channel) =>
      Array.from({ length: 256 }, (_, byte) => (byte / 255 - m) / std[channel]!),
    );
    expectClose(values, expected, {
      absolute: 4e-7,
      reason: 'byte/255, mean and std are rounded to float32 as torch does: three times 2⁻²⁵, divided by 0.26',
    });
  });
});

describe('resizeBicubicGlobal', () => {
  // Keys' kernel with a = -0.75, applied to both axes at once.
  const kernel = (x: number) => {
    const d = Math.abs(x);
    if (d < 1) return 1.25 * d ** 3 - 2.25 * d ** 2 + 1;
    return d < 2 ? -0.75 * d ** 3 + 3.75 * d ** 2 - 6 * d + 3 : 0;
  };
  const slow = (data: Float32Array, inHeight: number, inWidth: number, height: number, width: number) => {
    const at = (y: number, x: number) => {
      return data[Math.min(Math.max(y, 0), inHeight - 1) * inWidth + Math.min(Math.max(x, 0), inWidth - 1)]!;
    };
    const resized: number[] = [];
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const centerY = ((y + 0.5) * inHeight) / height - 0.5;
        const centerX = ((x + 0.5) * inWidth) / width - 0.5;
        let sum = 0;
        for (let i = Math.floor(centerY) - 2; i <= Math.floor(centerY) + 3; i++) {
          for (let j = Math.floor(centerX) - 2; j <= Math.floor(centerX) + 3; j++) {
            sum += kernel(i - centerY) * kernel(j - centerX) * at(i, j);
          }
        }
        resized.push(sum);
      }
    }
    return resized;
  };

  it('is cubic convolution without antialiasing, at any size', () => {
    const side = fc.integer({ min: 1, max: 12 });
    fc.assert(
      fc.property(side, side, side, side, fc.nat(), (inHeight, inWidth, height, width, seed) => {
        const data = createSeededRandom(seed).normals(inHeight * inWidth);
        const { data: resized } = resizeBicubicGlobal({ data, shape: [1, inHeight, inWidth] }, height, width);
        expectClose(resized, slow(data, inHeight, inWidth, height, width), {
          absolute: 4e-6,
          reason: 'weights and sums in float32: some 16 roundings of values up to 5, each 2⁻²²',
        });
      }),
      { seed: 9 },
    );
  });

  it('by hand: halving looks at four samples with -3/32, 19/32, 19/32, -3/32', () => {
    const pixels = { data: Float32Array.of(0, 0, 32, 0, 0, 0, 32, 0), shape: [1, 1, 8] };
    // Between samples 0 and 1: 32 stands at the fourth place; and so on.
    expect(Array.from(resizeBicubicGlobal(pixels, 1, 4).data)).toEqual([-3, 19, -3, 19]);
  });

  it('an odd reduction takes the middle sample, however strong it is', () => {
    const pixels = { data: Float32Array.of(9, 1, 9, 9, 2, 9), shape: [1, 1, 6] };
    expect(Array.from(resizeBicubicGlobal(pixels, 1, 2).data)).toEqual([1, 2]);
  });

  it('keeps overshoot', () => {
    const edge = { data: Float32Array.of(0, 0, 1, 1), shape: [1, 1, 4] };
    const { data } = resizeBicubicGlobal(edge, 1, 16);
    expect(Math.max(...data)).toBeGreaterThan(1);
    expect(Math.min(...data)).toBeLessThan(0);
  });

  it('rejects what is no picture', () => {
    const pixels = { data: new Float32Array(12), shape: [3, 2, 2] };
    expect(() => resizeBicubicGlobal({ data: new Float32Array(4), shape: [2, 2] })).toThrow(
      /^SHAPE resizeBicubicGlobal/,
    );
    expect(() => resizeBicubicGlobal({ data: new Float32Array(0), shape: [3, 0, 2] })).toThrow(/at least one pixel/);
    expect(() => resizeBicubicGlobal(pixels, 0)).toThrow(/^ARGUMENT resizeBicubicGlobal\(height\)/);
    expect(() => resizeBicubicGlobal(pixels, 1, 2.5)).toThrow(/^ARGUMENT resizeBicubicGlobal\(width\)/);
  });
});

describe('preprocessImage', () => {
  const random = createSeededRandom(10);
  const image = { width: 60, height: 29, data: Uint8Array.from({ length: 60 * 29 * 3 }, () => random.integer(256)) };

  it('puts the crops row by row behind the global view, and zeros behind them', () => {
    // 60 × 29 with 7 crops: 3 × 2 crops of a picture 1008 × 672, one slot unused.
    const { pixelValues, imageSize, numImageTokens } = preprocessImage(image, { numCrops: 7 });
    expect(imageSize).toEqual({ height: 672, width: 1008 });
    expect(numImageTokens).toBe((6 + 1) * 144 + 1 + 3 * 12);
    const whole = normalizeClip(hdTransform(image, { numCrops: 7 }));
    const view = 3 * 336 * 336;
    expectClose(pixelValues.data.subarray(0, view), resizeBicubicGlobal(whole).data, { reason: 'the same numbers' });
    for (let crop = 0; crop < 6; crop++) {
      for (const [channel, y, x] of [
        [0, 0, 0],
        [1, 335, 335],
        [2, 17, 300],
      ] as const) {
        const inCrop = pixelValues.data[(crop + 1) * view + (channel * 336 + y) * 336 + x];
        const [top, left] = [Math.floor(crop / 3) * 336, (crop % 3) * 336];
        expect(inCrop).toBe(whole.data[(channel * 672 + top + y) * 1008 + left + x]);
      }
    }
    expect(pixelValues.data.length).toBe(8 * view);
    expect(pixelValues.data.subarray(7 * view).every((value) => value === 0)).toBe(true);
    expect(pixelValues.data.subarray(0, 7 * view).some((value) => value === 0)).toBe(false);
  });

  it('rejects a bad image, a bad number of crops and options it does not know', () => {
    expect(() => preprocessImage({ ...image, height: 30 }, { numCrops: 4 })).toThrow(/^IM_DATA/);
    expect(() => preprocessImage(image, { numCrops: 1.5 })).toThrow(/^IM_NUM_CROPS/);
    const misspelt = { numCrops: 4, crops: 16 };
    expect(() => preprocessImage(image, misspelt)).toThrow(/^OPTION_UNKNOWN preprocessImage\(crops\)/);
  });
});
