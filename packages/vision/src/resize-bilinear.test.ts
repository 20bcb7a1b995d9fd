import { createSeededRandom, expectClose } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resizeBilinear } from './resize-bilinear.ts';

function randomImage(width: number, height: number, seed: number) {
  const random = createSeededRandom(seed);
  return { width, height, data: Uint8Array.from({ length: width * height * 3 }, () => random.integer(256)) };
}

/** One axis of the triangle filter in float64 with exact weights, no rounding: `lines` of `inSize` samples each. */
function slowPass(samples: Float64Array, numLines: number, inSize: number, outSize: number): Float64Array {
  const support = Math.max(inSize / outSize, 1);
  const resized = new Float64Array(numLines * outSize);
  for (let out = 0; out < outSize; out++) {
    const center = ((out + 0.5) * inSize) / outSize;
    let total = 0;
    for (let i = 0; i < inSize; i++) total += Math.max(1 - Math.abs(i + 0.5 - center) / support, 0);
    for (let i = 0; i < inSize; i++) {
      const weight = Math.max(1 - Math.abs(i + 0.5 - center) / support, 0) / total;
      for (let line = 0; line < numLines; line++)
        resized[line * outSize + out]! += weight * samples[line * inSize + i]!;
    }
  }
  return resized;
}

describe('resizeBilinear', () => {
  it('lies within one level of the filter without rounding', () => {
    for (const [width, height, newWidth, newHeight] of [
      [17, 11, 5, 4],
      [5, 4, 17, 11],
      [9, 30, 20, 7],
      [1, 1, 6, 3],
      [40, 3, 1, 1],
    ] as const) {
      const image = randomImage(width, height, width);
      for (let channel = 0; channel < 3; channel++) {
        const samples = Float64Array.from({ length: width * height }, (_, i) => image.data[3 * i + channel]!);
        const rows = slowPass(samples, height, width, newWidth);
        const columns = Float64Array.from({ length: newWidth * height }, (_, i) => {
          return rows[(i % height) * newWidth + Math.floor(i / height)]!;
        });
        const slow = slowPass(columns, newWidth, height, newHeight);
        const expected = Array.from({ length: newWidth * newHeight }, (_, i) => {
          return slow[(i % newWidth) * newHeight + Math.floor(i / newWidth)]!;
        });
        const actual = resizeBilinear(image, newWidth, newHeight).data.filter((_, i) => i % 3 === channel);
        expectClose(actual, expected, { absolute: 1.001, reason: 'each pass rounds by half a level' });
      }
    }
  });

  it('by hand: halving weighs four pixels (1, 3, 3, 1) and fewer at the edge', () => {
    // Window of the first output: centre 1, support 2, pixel centres 0.5, 1.5, 2.5 → weights 3/4, 3/4, 1/4.
    const data = Uint8Array.from([0, 100, 200, 50].flatMap((level) => [level, level, level]));
    const { data: halved } = resizeBilinear({ width: 4, height: 1, data }, 2, 1);
    expect(Array.from(halved)).toEqual([71, 71, 71, 121, 121, 121]);
  });

  it('the same size is a copy', () => {
    const image = randomImage(4, 5, 1);
    const same = resizeBilinear(image, 4, 5);
    expect(same).toEqual(image);
    expect(same.data).not.toBe(image.data);
  });

  it('keeps a flat colour exactly, at any size', () => {
    const side = fc.integer({ min: 1, max: 60 });
    fc.assert(
      fc.property(side, side, side, side, fc.nat(255), (width, height, newWidth, newHeight, level) => {
        const image = { width, height, data: new Uint8Array(width * height * 3).fill(level) };
        const { data } = resizeBilinear(image, newWidth, newHeight);
        expect(data.length).toBe(newWidth * newHeight * 3);
        expect(data.every((value) => value === level)).toBe(true);
      }),
      { seed: 4 },
    );
  });

  it('commutes with mirroring', () => {
    const image = randomImage(13, 1, 2);
    const mirror = (data: Uint8Array) => {
      return Array.from(data, (_, i) => data[data.length - 3 - 3 * Math.floor(i / 3) + (i % 3)]!);
    };
    const mirrored = { ...image, data: Uint8Array.from(mirror(image.data)) };
    expect(mirror(resizeBilinear(mirrored, 7, 1).data)).toEqual(Array.from(resizeBilinear(image, 7, 1).data));
  });

  it('rejects sizes and bytes that cannot be', () => {
    const image = randomImage(2, 2, 3);
    expect(() => resizeBilinear(image, 0, 1)).toThrow(
      'IM_SIZE resizeBilinear(width): expected a whole number from 1 up, got 0',
    );
    expect(() => resizeBilinear(image, 1, 1.5)).toThrow(/^IM_SIZE resizeBilinear\(height\)/);
    expect(() => resizeBilinear(image, 50000, 50000)).toThrow(/^IM_TOO_LARGE resizeBilinear/);
    expect(() => resizeBilinear({ ...image, data: image.data.subarray(1) }, 1, 1)).toThrow(
      'IM_DATA resizeBilinear(image.data): expected 12 bytes for 2 × 2 pixels of 3, got 11',
    );
  });
});
