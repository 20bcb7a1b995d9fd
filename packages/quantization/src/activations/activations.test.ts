import { createSeededRandom } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dynamicInt8Activations, roundTiesToEven } from './dynamic-int8-activations.ts';
import { dynamicUint8Activations } from './dynamic-uint8-activations.ts';

const f = Math.fround;
const even = (value: number): number => {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
};

describe('dynamicInt8Activations', () => {
  it('the definition, in groups of 32 with a short last one, of 1, and of the whole row', () => {
    const x = createSeededRandom(71).normals(70, 5);
    for (const groupSize of [32, 1, 7, 'row'] as const) {
      const activations = dynamicInt8Activations(x, { groupSize });
      const size = groupSize === 'row' ? 70 : groupSize;
      expect(activations.scales.length).toBe(Math.ceil(70 / size));
      for (let i = 0; i < 70; i++) {
        const group = Math.floor(i / size);
        const members = x.slice(group * size, (group + 1) * size);
        const largest = Math.max(...members.map(Math.abs));
        const scale = f(largest / 127);
        expect(activations.scales[group]).toBe(scale);
        expect(activations.quants[i]).toBe(even(f(x[i]! * f(127 / largest))) + 0);
        const quants = activations.quants.slice(group * size, (group + 1) * size);
        expect(activations.sums[group]).toBe(quants.reduce((a, b) => a + b, 0));
      }
    }
  });

  it('by hand: halves go to the even side', () => {
    expect([...dynamicInt8Activations(Float32Array.of(127, 0.5, 1.5, -0.5, -2.5)).quants]).toEqual([127, 0, 2, 0, -2]);
  });

  it('zeros, numbers too small to divide by, and nothing at all', () => {
    for (const tiny of [0, 1e-45, 1e-38]) {
      const activations = dynamicInt8Activations(new Float32Array(33).fill(tiny));
      expect([...activations.quants].every((quant) => quant === 0)).toBe(true);
      expect([...activations.scales]).toEqual([0, 0]);
    }
    expect(dynamicInt8Activations(new Float32Array(0)).scales.length).toBe(0);
    expect(dynamicInt8Activations(new Float32Array(0), { groupSize: 'row' }).scales.length).toBe(0);
  });

  it('the largest float32 numbers do not overflow', () => {
    const activations = dynamicInt8Activations(Float32Array.of(3.4028234663852886e38, -3.4028234663852886e38, 1));
    expect([...activations.quants]).toEqual([127, -127, 0]);
  });

  it('errors', () => {
    expect(() => dynamicInt8Activations(Float32Array.of(0, Number.NEGATIVE_INFINITY))).toThrow(
      'WEIGHT_NOT_FINITE dynamicInt8Activations(values): expected finite numbers, got -Infinity (key column 1)',
    );
    for (const groupSize of [0, -1, 1.5, Number.NaN]) {
      expect(() => dynamicInt8Activations(new Float32Array(4), { groupSize })).toThrow(
        /^ARGUMENT dynamicInt8Activations\(options.groupSize\)/,
      );
    }
    expect(() => dynamicInt8Activations(new Float32Array(4), { group: 32 } as object)).toThrow(/^OPTION_UNKNOWN/);
  });
});

describe('dynamicUint8Activations', () => {
  it('the examples of the ONNX operator', () => {
    // From the description of DynamicQuantizeLinear: three ranges, one on each side of zero.
    const all = dynamicUint8Activations(Float32Array.of(0, 2, -3, -2.5, 1.34, 0.5));
    expect(all.scale).toBeCloseTo(0.0196078438, 9);
    expect(all.zeroPoint).toBe(153);
    expect([...all.quants]).toEqual([153, 255, 0, 26, 221, 179]);
    const negative = dynamicUint8Activations(Float32Array.of(-1, -2.1, -1.3, -2.5, -3.34, -4));
    expect(negative.zeroPoint).toBe(255);
    expect([...negative.quants]).toEqual([191, 121, 172, 96, 42, 0]);
    const positive = dynamicUint8Activations(Float32Array.of(1, 2.1, 1.3, 2.5, 3.34, 4));
    expect(positive.zeroPoint).toBe(0);
    expect([...positive.quants]).toEqual([64, 134, 83, 159, 213, 255]);
  });

  it('zero is exact, and every value comes back within a step', () => {
    fc.assert(
      fc.property(fc.integer(), fc.constantFrom(-3, 0, 2), (seed, shift) => {
        const x = createSeededRandom(seed)
          .normals(40)
          .map((value) => value + shift);
        x[0] = 0;
        const { quants, scale, zeroPoint } = dynamicUint8Activations(x);
        expect(quants[0]).toBe(zeroPoint);
        // Half a step for the value and half for the zero point, which is rounded too.
        for (let i = 0; i < 40; i++) {
          expect(Math.abs(scale * (quants[i]! - zeroPoint) - x[i]!)).toBeLessThanOrEqual(scale * 1.0001);
        }
      }),
      { seed: 72, numRuns: 60 },
    );
  });

  it('zeros, nothing, and the largest numbers', () => {
    expect(dynamicUint8Activations(new Float32Array(3))).toEqual({
      length: 3,
      quants: new Uint8Array(3),
      scale: 1,
      zeroPoint: 0,
    });
    expect(dynamicUint8Activations(new Float32Array(0)).scale).toBe(1);
    const wide = dynamicUint8Activations(Float32Array.of(3e38, -3e38));
    expect([...wide.quants]).toEqual([255, 0]);
    expect(Number.isFinite(wide.scale)).toBe(true);
  });

  it('errors', () => {
    expect(() => dynamicUint8Activations(Float32Array.of(Number.NaN))).toThrow(/^WEIGHT_NOT_FINITE/);
  });
});

it('roundTiesToEven is IEEE rounding', () => {
  for (const value of [0.5, 1.5, 2.5, -0.5, -1.5, 126.5, 0.49999997, -3.2, 7, 0]) {
    expect(roundTiesToEven(value) + 0).toBe(even(value) + 0);
  }
});
