import { expect, it } from 'vitest';
import { withUnbreakableUnits } from '../.vitepress/build/unbreakable-units.ts';

it.each([
  ['took 275 ms, then 1.5 s.', 'took 275\u00a0ms, then 1.5\u00a0s.'],
  ['90 % of 2 GB at 25.3 GB/s', '90\u00a0% of 2\u00a0GB at 25.3\u00a0GB/s'],
  ['W + 1', 'W\u00a0+\u00a01'],
  ['4 bits, 3 steps, 2 GBit', '4 bits, 3 steps, 2 GBit'],
])('%s', (text, expected) => {
  expect(withUnbreakableUnits(text)).toBe(expected);
});
