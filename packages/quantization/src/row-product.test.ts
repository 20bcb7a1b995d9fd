import type { WeightFormat } from '@phiblocks/tensor';
import { createSeededRandom, expectClose } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dotQ8 } from './activations/dot-q8.ts';
import { dynamicInt8Activations } from './activations/dynamic-int8-activations.ts';
import { quantizeMatrix } from './quantize-matrix.ts';
import { matrixVectorProduct, rowProduct } from './row-product.ts';

const formats: WeightFormat[] = ['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'Q4_K', 'Q5_K', 'Q6_K'];

function randomCase(format: WeightFormat, seed: number, rows = 3, columns = 768) {
  const random = createSeededRandom(seed);
  const matrix = quantizeMatrix({ data: random.normals(rows * columns), shape: [rows, columns] }, format);
  const x = random.normals(columns, 4);
  const weights = Array.from({ length: rows }, (_, row) => {
    const out = new Float32Array(columns);
    matrix.dequantizeRow(row, out);
    return out;
  });
  return { matrix, x, weights };
}

describe('the definition: Σ w · x over dequantized weights', () => {
  it.each([...formats, 'F16', 'F32'] as WeightFormat[])('%s with float activations', (format) => {
    const { matrix, x, weights } = randomCase(format, 51);
    const expected = weights.map((row) => row.reduce((sum, w, i) => sum + w * x[i]!, 0));
    for (const row of [0, 1, 2]) expect(rowProduct(matrix, row, x)).toBe(expected[row]);
    expectClose(matrixVectorProduct(matrix, x), expected, { relative: 2 ** -24, reason: 'rounded once to float32' });
  });

  it.each(formats)('%s with int8 activations in groups of 32', (format) => {
    const { matrix, x, weights } = randomCase(format, 52);
    const { quants, scales } = dynamicInt8Activations(x);
    for (const row of [0, 1, 2]) {
      let expected = 0;
      let magnitude = 0;
      for (let i = 0; i < x.length; i++) {
        const term = weights[row]![i]! * scales[Math.floor(i / 32)]! * quants[i]!;
        expected += term;
        magnitude += Math.abs(term);
      }
      expectClose([dotQ8(matrix, row, dynamicInt8Activations(x))], [expected], {
        absolute: magnitude * 2 ** -24,
        reason: 'dequantized weights are rounded to float32, the whole-number sums are not',
      });
    }
  });
});

describe('by hand', () => {
  it('a minimum is multiplied with the sum of the quants', () => {
    // Q4_1 weights 2, 3, …: codes 0 to 15 with d = 1, m = 2; activations 127 · 1 and 0.
    const weights = Float32Array.from({ length: 32 }, (_, i) => 2 + (i % 16));
    const matrix = quantizeMatrix({ data: weights, shape: [1, 32] }, 'Q4_1');
    const x = new Float32Array(32);
    x[3] = 127;
    x[20] = -127;
    expect(dotQ8(matrix, 0, dynamicInt8Activations(x))).toBe(5 * 127 - 6 * 127);
  });
});

describe('properties', () => {
  it('int8 activations cost at most half a step each', () => {
    fc.assert(
      fc.property(fc.constantFrom(...formats), fc.integer(), (format, seed) => {
        const { matrix, x, weights } = randomCase(format, seed, 1, 256);
        const { scales } = dynamicInt8Activations(x);
        let bound = 0;
        for (let i = 0; i < 256; i++) bound += Math.abs(weights[0]![i]!) * scales[Math.floor(i / 32)]! * 0.5;
        const difference = dotQ8(matrix, 0, dynamicInt8Activations(x)) - rowProduct(matrix, 0, x);
        // 1e-4: the float32 inverse may move a weight that lies next to a half by a hair.
        expect(Math.abs(difference)).toBeLessThanOrEqual(bound * (1 + 1e-4));
      }),
      { seed: 53, numRuns: 60 },
    );
  });

  it('writes into given arrays', () => {
    const { matrix, x } = randomCase('Q4_K', 54);
    const out = new Float32Array(3);
    expect(matrixVectorProduct(matrix, x, out)).toBe(out);
    expect(rowProduct(matrix, 1, x, new Float32Array(768))).toBe(rowProduct(matrix, 1, x));
  });
});

describe('errors', () => {
  const { matrix, x } = randomCase('Q4_0', 55);

  it('rows and lengths', () => {
    expect(() => rowProduct(matrix, 3, x)).toThrow(
      'ARGUMENT rowProduct(row): expected a whole number from 0 to 2, got 3',
    );
    expect(() => rowProduct(matrix, 0, x.subarray(1))).toThrow('SHAPE rowProduct(x): expected 768 elements, got 767');
    expect(() => rowProduct(matrix, 0, x, new Float32Array(1))).toThrow(/^SHAPE rowProduct\(scratch\)/);
    expect(() => matrixVectorProduct(matrix, x.subarray(1))).toThrow(/^SHAPE matrixVectorProduct\(x\)/);
    expect(() => matrixVectorProduct(matrix, x, new Float32Array(2))).toThrow(/^SHAPE matrixVectorProduct\(out\)/);
    expect(() => dotQ8(matrix, -1, dynamicInt8Activations(x))).toThrow(/^ARGUMENT dotQ8\(row\)/);
    expect(() => dotQ8(matrix, 0, dynamicInt8Activations(x.subarray(32)))).toThrow(/^SHAPE dotQ8\(activations\)/);
  });

  it('other groups than of 32, and weights without codes', () => {
    expect(() => dotQ8(matrix, 0, dynamicInt8Activations(x, { groupSize: 'row' }))).toThrow(
      'SHAPE dotQ8(activations): expected groups of 32, got 768',
    );
    expect(() => dotQ8(randomCase('F16', 1).matrix, 0, dynamicInt8Activations(x))).toThrow(
      "ARGUMENT dotQ8(matrix): expected a block format, got 'F16'. Float weights have no codes to multiply; use rowProduct.",
    );
  });
});
