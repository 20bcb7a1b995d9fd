import { expect, it } from 'vitest';
import { indentOf } from '../.vitepress/build/hanging-indent.ts';

it('the indentation of a line is counted in characters', () => {
  expect(['const a = 1;', '  a += 1;', ''].map(indentOf)).toEqual([0, 2, 0]);
});
