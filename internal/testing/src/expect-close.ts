import { expect } from 'vitest';

/** How far apart two numbers may lie, and why. An element passes when `|actual - expected| <= absolute + relative * |expected|`. */
export interface Tolerance {
  absolute?: number;
  relative?: number;
  /** Where the figure comes from; shown when the comparison fails. */
  reason: string;
}

/**
 * Compares every element and, when one lies too far away, names the worst: its index, both values and the allowance.
 * A NaN on either side fails, also when both sides are NaN.
 */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { absolute = 0, relative = 0, reason }: Tolerance,
  label = 'tensor',
): void {
  expect(actual.length, `${label}: number of elements`).toBe(expected.length);
  let worst = -1;
  let worstExcess = 0;
  let worstIndex = -1;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    const excess = difference - (absolute + relative * Math.abs(expected[i]!));
    if (Number.isNaN(difference)) {
      // Infinity minus the same Infinity is NaN although the two are equal.
      if (actual[i] === expected[i]) continue;
      expect.fail(`${label}[${i}]: ${actual[i]} against ${expected[i]}`);
    }
    if (excess > worstExcess) {
      worst = difference;
      worstExcess = excess;
      worstIndex = i;
    }
  }
  if (worstIndex >= 0) {
    expect.fail(
      `${label}[${worstIndex}]: got ${actual[worstIndex]}, expected ${expected[worstIndex]}, ` +
        `off by ${worst}, allowed ${absolute} + ${relative} of the value (${reason})`,
    );
  }
}
