import { createSeededRandom, expectClose } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { linear } from './linear.ts';

describe('linear', () => {
  it('is the sum of products in every tile and its rests', () => {
    fc.assert(
      fc.property(
        fc.nat(5),
        fc.nat(20),
        fc.nat(9),
        fc.boolean(),
        fc.nat(),
        (numRows, inSize, outSize, biased, seed) => {
          const random = createSeededRandom(seed);
          const x = { data: random.normals(numRows * inSize), shape: [numRows, inSize] };
          const weight = { data: random.normals(outSize * inSize), shape: [outSize, inSize] };
          const bias = { data: random.normals(outSize), shape: [outSize] };
          const expected: number[] = [];
          for (let row = 0; row < numRows; row++) {
            for (let out = 0; out < outSize; out++) {
              let sum = biased ? bias.data[out]! : 0;
              for (let i = 0; i < inSize; i++) sum += x.data[row * inSize + i]! * weight.data[out * inSize + i]!;
              expected.push(sum);
            }
          }
          const result = linear(x, biased ? { weight, bias } : { weight });
          expect(result.shape).toEqual([numRows, outSize]);
          expectClose(result.data, expected, { relative: 2 ** -23, absolute: 1e-12, reason: 'float64, rounded once' });
        },
      ),
      { seed: 2 },
    );
  });

  it('rejects shapes that do not fit', () => {
    const x = { data: new Float32Array(6), shape: [2, 3] };
    const weight = { data: new Float32Array(8), shape: [4, 2] };
    expect(() => linear(x, { weight })).toThrow('SHAPE linear(weights.weight): expected shape [any, 3], got [4, 2]');
    const fits = { data: new Float32Array(12), shape: [4, 3] };
    expect(() => linear(x, { weight: fits, bias: { data: new Float32Array(3), shape: [3] } })).toThrow(
      'SHAPE linear(weights.bias): expected shape [4], got [3]',
    );
  });
});
