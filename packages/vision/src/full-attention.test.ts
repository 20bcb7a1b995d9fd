import { createSeededRandom, expectClose } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { fullAttention } from './full-attention.ts';

const random = createSeededRandom(7);
const tensor = (numRows: number, width: number, scale = 1) => ({
  data: random.normals(numRows * width, scale),
  shape: [numRows, width],
});

describe('fullAttention', () => {
  it.each([
    [5, 5, 3, 4],
    [1, 6, 2, 3],
    [4, 1, 1, 5],
  ])('is its definition for %i queries, %i keys, %i heads of %i', (numQueries, numKeys, numHeads, headDim) => {
    const width = numHeads * headDim;
    const queries = tensor(numQueries, width, 2);
    const keys = tensor(numKeys, width, 2);
    const values = tensor(numKeys, width);
    const scale = 1 / Math.sqrt(headDim);
    const expected = new Float64Array(numQueries * width);
    for (let query = 0; query < numQueries; query++) {
      for (let head = 0; head < numHeads; head++) {
        const scores = Array.from({ length: numKeys }, (_, key) => {
          let dot = 0;
          for (let d = head * headDim; d < (head + 1) * headDim; d++) {
            dot += queries.data[query * width + d]! * keys.data[key * width + d]!;
          }
          return Math.exp(scale * dot);
        });
        const total = scores.reduce((a, b) => a + b);
        for (const [key, score] of scores.entries()) {
          for (let d = head * headDim; d < (head + 1) * headDim; d++) {
            expected[query * width + d]! += (score / total) * values.data[key * width + d]!;
          }
        }
      }
    }
    const attended = fullAttention(queries, keys, values, { numHeads, scale });
    expect(attended.shape).toEqual([numQueries, width]);
    expectClose(attended.data, expected, {
      absolute: 5e-6,
      reason: 'scores up to 30 are rounded to float32 (2⁻²⁰ there), which exp turns into a relative error',
    });
  });

  it('equal scores average the values', () => {
    const values = { data: Float32Array.of(1, 2, 3, 6), shape: [4, 1] };
    const queries = { data: Float32Array.of(0), shape: [1, 1] };
    expect(Array.from(fullAttention(queries, values, values, { numHeads: 1, scale: 1 }).data)).toEqual([3]);
  });

  it('great scores do not overflow', () => {
    const keys = { data: Float32Array.of(1000, 2000), shape: [2, 1] };
    const queries = { data: Float32Array.of(1000), shape: [1, 1] };
    expect(Array.from(fullAttention(queries, keys, keys, { numHeads: 1, scale: 1 }).data)).toEqual([2000]);
  });

  it('the order of keys does not matter', () => {
    const queries = tensor(3, 4);
    const keys = tensor(2, 4);
    const values = tensor(2, 4);
    const swap = ({ data }: { data: Float32Array }) => ({
      data: Float32Array.of(...data.slice(4), ...data.slice(0, 4)),
      shape: [2, 4],
    });
    const options = { numHeads: 2, scale: 0.7 };
    expectClose(
      fullAttention(queries, swap(keys), swap(values), options).data,
      fullAttention(queries, keys, values, options).data,
      { absolute: 1e-6, reason: 'probabilities are rounded to float32 after sums in another order' },
    );
  });

  it('rejects what does not fit', () => {
    const options = { numHeads: 2, scale: 1 };
    const four = tensor(2, 4);
    expect(() => fullAttention(four, tensor(2, 6), four, options)).toThrow(/^SHAPE fullAttention\(keys\)/);
    expect(() => fullAttention(four, four, tensor(3, 4), options)).toThrow(/^SHAPE fullAttention\(values\)/);
    expect(() => fullAttention(four, four, four, { ...options, numHeads: 3 })).toThrow(
      'ARGUMENT fullAttention(options.numHeads): expected a divisor of 4, got 3',
    );
    expect(() => fullAttention(four, four, four, { ...options, scale: Number.NaN })).toThrow(/options.scale/);
    expect(() => fullAttention(four, tensor(0, 4), tensor(0, 4), options)).toThrow(/at least one key/);
    const misspelt = { ...options, numHead: 2 };
    expect(() => fullAttention(four, four, four, misspelt)).toThrow(/^OPTION_UNKNOWN fullAttention\(numHead\)/);
  });
});
