import { expect, it } from 'vitest';
import { hangingIndentOf, indentOf } from '../.vitepress/build/hanging-indent.ts';

it('the indentation of a line is counted in characters', () => {
  expect(['const a = 1;', '  a += 1;', ''].map(indentOf)).toEqual([0, 2, 0]);
});

it('goes two further in than its line, but not from options that go on behind a backslash', () => {
  const lines = ['tool run \\', '  --model nano-mini --json \\', '  --seed 1', 'if (a) {', '  call();'];
  expect(lines.map((_, index) => hangingIndentOf(lines, index))).toEqual([2, 2, 2, 2, 4]);
});
