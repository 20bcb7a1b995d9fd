import { createSeededRandom } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from './index.ts';

/** The definition: of all finite values of the format, the nearest; a tie goes to the one with an even last bit. */
function nearest(value: number, decode: (bits: number) => number): number {
  let best = 0;
  for (let bits = 0; bits < 0x10000; bits++) {
    const candidate = decode(bits);
    if (!Number.isFinite(candidate)) continue;
    const distance = Math.abs(candidate - value);
    const bestDistance = Math.abs(decode(best) - value);
    if (distance < bestDistance || (distance === bestDistance && (bits & 1) === 0)) best = bits;
  }
  return decode(best);
}

describe('binary16', () => {
  it('decodes the values of the standard', () => {
    expect(float16ToFloat32(0x0000)).toBe(0);
    expect(Object.is(float16ToFloat32(0x8000), -0)).toBe(true);
    expect(float16ToFloat32(0x3c01)).toBe(1 + 2 ** -10);
    expect(float16ToFloat32(0x0400)).toBe(2 ** -14);
    expect(float16ToFloat32(0x03ff)).toBe(2 ** -14 - 2 ** -24);
    expect(float16ToFloat32(0xfbff)).toBe(-65504);
    expect(float16ToFloat32(0x7c00)).toBe(Number.POSITIVE_INFINITY);
    expect(float16ToFloat32(0x7e00)).toBeNaN();
  });

  it('encode undoes decode for all 65,536 patterns', () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = float16ToFloat32(bits);
      if (Number.isNaN(value)) expect(float16ToFloat32(float32ToFloat16(value))).toBeNaN();
      else if (float32ToFloat16(value) !== bits) expect.fail(`pattern ${bits} became ${float32ToFloat16(value)}`);
    }
  });

  it('rounds to the nearest, ties to even', () => {
    const random = createSeededRandom(1);
    const values = Array.from({ length: 60 }, () => Math.fround(random.normal() * 10 ** (random.integer(13) - 8)));
    for (const value of [...values, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -25, 3 * 2 ** -26, 2 ** -14 - 2 ** -26]) {
      // `+ 0` so that the sign of zero does not count: both zeros are equally near.
      expect(float16ToFloat32(float32ToFloat16(value)) + 0, `${value}`).toBe(nearest(value, float16ToFloat32) + 0);
    }
  });

  it('overflows to infinity at 65520', () => {
    expect(float32ToFloat16(65519.99)).toBe(0x7bff);
    expect(float32ToFloat16(65520)).toBe(0x7c00);
    expect(float32ToFloat16(-1e30)).toBe(0xfc00);
  });
});

describe('bfloat16', () => {
  it('encode undoes decode for all 65,536 patterns', () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = bfloat16ToFloat32(bits);
      if (Number.isNaN(value)) expect(bfloat16ToFloat32(float32ToBfloat16(value))).toBeNaN();
      else if (float32ToBfloat16(value) !== bits) expect.fail(`pattern ${bits} became ${float32ToBfloat16(value)}`);
    }
  });

  it('rounds to the nearest, ties to even', () => {
    const random = createSeededRandom(2);
    const values = Array.from({ length: 60 }, () => Math.fround(random.normal() * 10 ** (random.integer(40) - 20)));
    for (const value of [...values, 1 + 2 ** -8, 1 + 3 * 2 ** -8]) {
      expect(bfloat16ToFloat32(float32ToBfloat16(value)) + 0, `${value}`).toBe(nearest(value, bfloat16ToFloat32) + 0);
    }
  });
});
