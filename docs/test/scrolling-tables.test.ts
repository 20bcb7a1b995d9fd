import { expect, it } from 'vitest';
import { kindOfColumn } from '../.vitepress/build/scrolling-tables.ts';

it.each([
  [['12', '1,024.5', '', '3.4e-5'], 'numbers'],
  [['0.94 ms', '1.20 G', '–'], 'numbers'],
  [['99.3 %', '100 %'], 'numbers'],
  [['1 of 3', '2'], 'words'],
  [['temperature', 'top-p'], 'words'],
  [['createBlockSparseLayout', ''], 'phrases'],
  [['a sentence of some length that is more than a few words'], 'sentences'],
  [['word '.repeat(30)], 'paragraphs'],
  [[''], 'words'],
])('%j is a column of %s', (cells, kind) => {
  expect(kindOfColumn(cells)).toBe(kind);
});
