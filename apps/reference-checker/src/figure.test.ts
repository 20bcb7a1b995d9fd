import { expect, it } from 'vitest';
import { figure } from './compare.ts';

it('two digits, with a power of ten only where it helps', () => {
  const values = [0, 3.24e-6, 0.0999, 0.1, 0.25, 18.7, 99.4, 99.6, 1234];
  expect(values.map(figure)).toEqual(['0', '3.2e-6', '1.0e-1', '0.1', '0.25', '19', '99', '1.0e2', '1.2e3']);
});
