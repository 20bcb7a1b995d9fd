import { expect, it } from 'vitest';
import { hasColumns } from '../.vitepress/build/aligned-columns.ts';

it('a text has columns where words stand apart', () => {
  expect(hasColumns('task   256\npasskey  0\n')).toBe(true);
  expect(hasColumns('One sentence.\n  Another, indented.\n')).toBe(false);
});
