import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { erf } from './erf.ts';

/** The integral itself, by Simpson's rule in small steps: good to about 1e-15. */
function integral(x: number): number {
  const numSteps = 4000;
  const step = x / numSteps;
  let sum = 0;
  for (let i = 0; i <= numSteps; i++) {
    const weight = i === 0 || i === numSteps ? 1 : i % 2 === 1 ? 4 : 2;
    sum += weight * Math.exp(-((i * step) ** 2));
  }
  return (2 / Math.sqrt(Math.PI)) * (step / 3) * sum;
}

describe('erf', () => {
  it('is the integral it is defined by, also around the border of its two formulas', () => {
    for (const x of [0.001, 0.1, 0.5, 1, 1.7, 2.4999999, 2.5, 2.5000001, 3, 4, 5, 5.9]) {
      // Simpson's own error: step⁴ · x/180 · max|f⁗| is below 2e-13 at x = 6 with 4000 steps.
      expect(Math.abs(erf(x) - integral(x)), `erf(${x})`).toBeLessThan(3e-13);
    }
  });

  it('has the tabulated values (DLMF, table of §7.23; Abramowitz and Stegun, table 7.1)', () => {
    for (const [x, value] of [
      [0.5, 0.5204998778],
      [1, 0.8427007929],
      [2, 0.995322265],
    ] as const) {
      expect(erf(x)).toBeCloseTo(value, 9);
    }
  });

  it('is flat, exactly odd and exact at its ends', () => {
    expect(erf(0)).toBe(0);
    expect(Object.is(erf(-0), -0)).toBe(true);
    expect(erf(6)).toBe(1);
    expect(erf(Infinity)).toBe(1);
    expect(erf(-Infinity)).toBe(-1);
    expect(erf(Number.NaN)).toBeNaN();
    expect(erf(1e-300)).toBeCloseTo(0);
  });

  it('is odd and does not fall', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 7, noNaN: true }),
        fc.double({ min: 1e-9, max: 1, noNaN: true }),
        (x, by) => {
          expect(erf(-x)).toBe(-erf(x));
          // Two roundings of 2⁻⁵³ and what exp adds.
          expect(erf(x + by)).toBeGreaterThanOrEqual(erf(x) - 1e-15);
        },
      ),
      { seed: 1 },
    );
  });
});
