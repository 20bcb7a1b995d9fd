import { createSeededRandom, expectClose } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { createActivationStatistics } from './activation-statistics.ts';
import { quantizeMatrix } from './quantize-matrix.ts';
import { matrixVectorProduct } from './row-product.ts';

describe('createActivationStatistics', () => {
  it('the definition, whatever the pieces', () => {
    const x = createSeededRandom(121).normals(30 * 5);
    const whole = createActivationStatistics(5);
    whole.add({ data: x, shape: [30, 5] });
    const pieces = createActivationStatistics(5);
    for (let t = 0; t < 30; t += 10) pieces.add({ data: x.subarray(t * 5, (t + 10) * 5), shape: [10, 5] });
    const expected = Array.from({ length: 5 }, (_, i) => {
      let sum = 0;
      for (let t = 0; t < 30; t++) sum += x[t * 5 + i]! ** 2;
      return sum / 30;
    });
    const tolerance = { relative: 2 ** -23, reason: 'rounded to float32 once' };
    expectClose(whole.meanSquares(), expected, tolerance);
    expect(pieces.meanSquares()).toEqual(whole.meanSquares());
    expectClose(whole.rootMeanSquares(), expected.map(Math.sqrt), tolerance);
    expect([pieces.numTokens, pieces.columns]).toEqual([30, 5]);
  });

  it('as importance, it lowers the error of the layer’s output', () => {
    const random = createSeededRandom(122);
    const columns = 256;
    const loudness = Float32Array.from({ length: columns }, () => Math.exp(1.5 * random.normal()));
    const activations = (tokens: number) => ({
      data: Float32Array.from({ length: tokens * columns }, (_, i) => random.normal() * loudness[i % columns]!),
      shape: [tokens, columns],
    });
    const statistics = createActivationStatistics(columns);
    statistics.add(activations(200));
    const tensor = { data: random.normals(64 * columns, 0.02), shape: [64, columns] };
    const exact = quantizeMatrix(tensor, 'F32');
    const test = activations(20);
    const outputError = (options: object) => {
      const matrix = quantizeMatrix(tensor, 'Q4_K', options);
      let error = 0;
      for (let t = 0; t < 20; t++) {
        const x = test.data.subarray(t * columns, (t + 1) * columns);
        const y = matrixVectorProduct(exact, x);
        matrixVectorProduct(matrix, x).forEach((value, o) => {
          error += (value - y[o]!) ** 2;
        });
      }
      return error;
    };
    expect(outputError({ importance: statistics.meanSquares() })).toBeLessThan(0.8 * outputError({}));
  });

  it('errors', () => {
    for (const columns of [0, -1, 1.5]) {
      expect(() => createActivationStatistics(columns)).toThrow(/^ARGUMENT createActivationStatistics\(columns\)/);
    }
    const statistics = createActivationStatistics(2);
    expect(() => statistics.meanSquares()).toThrow(/^STATISTICS_EMPTY/);
    expect(() => statistics.rootMeanSquares()).toThrow(/^STATISTICS_EMPTY/);
    expect(() => statistics.add({ data: new Float32Array(3), shape: [1, 3] })).toThrow(
      'SHAPE add(activations): expected shape [T, 2], got [1, 3]',
    );
    expect(() => statistics.add({ data: Float32Array.of(1, 1, 1, Number.NaN), shape: [2, 2] })).toThrow(
      'WEIGHT_NOT_FINITE add(values): expected finite numbers, got NaN (key row 1, column 1)',
    );
    expect(statistics.numTokens).toBe(0);
  });
});
