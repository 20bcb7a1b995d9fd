import { createSeededRandom, expectClose } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { gelu } from './gelu.ts';
import { quickGelu } from './quick-gelu.ts';

const half = { relative: 2 ** -24, absolute: 1e-12, reason: 'computed in float64, rounded once to float32' };

describe('gelu', () => {
  // Φ(x) by numerical integration of the normal density from 0, the definition of the exact GELU.
  const normalProbability = (x: number) => {
    const step = x / 2000;
    let sum = 0;
    for (let i = 0; i < 2000; i++) sum += Math.exp(-(((i + 0.5) * step) ** 2) / 2) * step;
    return 0.5 + sum / Math.sqrt(2 * Math.PI);
  };

  it('is x times the normal distribution function', () => {
    const data = Float32Array.of(-5, -3, -1, -0.25, 0, 0.5, 1, 2, 4, 8);
    const expected = Array.from(data, (x) => x * normalProbability(x));
    expectClose(gelu({ data, shape: [10] }).data, expected, {
      absolute: 5e-7,
      reason: 'the midpoint rule is good to 1e-7 here, and values up to 8 are rounded to float32',
    });
  });

  it('is not the tanh approximation', () => {
    // At 2: exact 1.9544997, tanh form 1.9545977.
    expect(gelu({ data: Float32Array.of(2), shape: [1] }).data[0]).toBeCloseTo(1.9544997, 6);
  });

  it('goes to 0 and to x at the ends, passes NaN on and leaves its argument alone', () => {
    const data = Float32Array.of(-1000, 1000, Number.NaN);
    const result = gelu({ data, shape: [3, 1] });
    expect(Array.from(result.data)).toEqual([-0, 1000, Number.NaN]);
    expect(result.shape).toEqual([3, 1]);
    expect(data[1]).toBe(1000);
  });
});

describe('quickGelu', () => {
  it('is x · sigmoid(1.702 x)', () => {
    const data = createSeededRandom(3).normals(500, 4);
    const expected = Array.from(data, (x) => x * (1 / (1 + Math.exp(-1.702 * x))));
    expectClose(quickGelu({ data, shape: [500] }).data, expected, half);
  });

  it('does not overflow', () => {
    expect(Array.from(quickGelu({ data: Float32Array.of(-1e4, 1e4), shape: [2] }).data)).toEqual([-0, 1e4]);
  });
});
