import { expect, it } from 'vitest';
import { float64Sums } from './arithmetic.ts';
import { gelu } from './define.ts';

// z/2 · erfc(-z/√2) of the C library. Far out, 0.5 minus an integral would lose the digits of the result.
it.each([
  [-5.5, -1.0444259356238256e-7],
  [-3.5, -0.0008142017766243376],
  [-2, -0.04550026389635844],
  [0, 0],
  [1, 0.8413447460685429],
])('gelu of %f is that of the C library within 1e-8 of it', (z, expected) => {
  const [result] = gelu(Float32Array.of(z), 1, float64Sums).exact;
  // Simpson's rule: a quarter of the rounding of a float32, and 1e-12 where the result is not small.
  expect(Math.abs(result! - expected)).toBeLessThanOrEqual(1e-8 * Math.abs(expected));
});
