import { expectClose } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { attention, gegelu, gelu, linear, matrix, sparseMixer } from './definitions.ts';

describe('the definitions, by hand', () => {
  it('linear', () => {
    const { values, magnitudes } = linear(matrix([1, -2], 1, 2), matrix([3, 4, 5, 6], 2, 2), [0, 1]);
    expect([...values]).toEqual([-5, -6]);
    expect([...magnitudes]).toEqual([11, 18]);
  });

  it('attention over two equal keys is the mean of their values', () => {
    const { values } = attention({
      queries: matrix([1, 0], 1, 2),
      keys: matrix([2, 0, 2, 0], 2, 2),
      values: matrix([1, 2, 3, 6], 2, 2),
      headDim: 2,
      scale: 1,
      start: 1,
      sees: () => true,
    });
    expect([...values]).toEqual([2, 4]);
  });

  it('gelu and gegelu have the tabulated values', () => {
    const tabulated = { relative: 1e-7, reason: 'seven digits are given' };
    expectClose([gelu(1), gelu(-3)], [0.8413447, -0.0040496941], tabulated);
    const gates = [gegelu(1, 0.5, 20), gegelu(-2, 3, 20), gegelu(25, -30, 20)];
    expectClose(gates, [1.2686936, -0.2573655, -380], { relative: 1e-6, reason: 'seven digits are given' });
  });

  it.each([
    [
      [2, 1, 0.5, 0.1],
      [0, 1, 1, 1],
    ],
    [
      [2, 1.98, 1, 0.99],
      [0, 0.505, 1, 1],
    ],
    [
      [1, 0.99, 0.985, 0.5],
      [0, 0.3361162, 1, 0.50125],
    ],
    [
      [-1, -1.01, -2, -3],
      [0, 0.5025, 1, 1],
    ],
  ])('sparseMixer of %j', (scores, expected) => {
    const flat = sparseMixer(scores, 2, 0.01).flatMap(({ expert, weight }) => [expert, weight]);
    expectClose(flat, expected, { absolute: 6e-6, reason: 'five to seven digits are given' });
  });
});
