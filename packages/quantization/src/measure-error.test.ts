import type { WeightFormat } from '@phiblocks/tensor';
import { createSeededRandom, expectClose } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { int8PerRow } from './int8-per-row.ts';
import { measureError } from './measure-error.ts';
import { quantizeMatrix } from './quantize-matrix.ts';

const random = createSeededRandom(101);
const tensor = { data: random.normals(8 * 512), shape: [8, 512] };

/** A "quantized" matrix of given floats. */
const matrixOf = (rows: number[][]) => ({
  shape: [rows.length, rows[0]?.length ?? 0] as [number, number],
  dequantizeRow: (row: number, out: Float32Array) => out.set(rows[row]!),
});

describe('measureError', () => {
  it('the definition', () => {
    const matrix = quantizeMatrix(tensor, 'Q4_0');
    const b = new Float32Array(8 * 512);
    for (let row = 0; row < 8; row++) matrix.dequantizeRow(row, b.subarray(row * 512, (row + 1) * 512));
    const a = tensor.data;
    const sum = (term: (i: number) => number, from = 0, to = a.length) => {
      let total = 0;
      for (let i = from; i < to; i++) total += term(i);
      return total;
    };
    const rowErrors = Array.from({ length: 8 }, (_, row) =>
      Math.sqrt(sum((i) => (a[i]! - b[i]!) ** 2, row * 512, (row + 1) * 512) / 512),
    );
    const error = measureError(tensor, matrix);
    expectClose(
      [error.rmse, error.worstRow.rmse, error.cosine, error.maxAbsolute],
      [
        Math.sqrt(sum((i) => (a[i]! - b[i]!) ** 2) / a.length),
        Math.max(...rowErrors),
        sum((i) => a[i]! * b[i]!) / Math.sqrt(sum((i) => a[i]! ** 2) * sum((i) => b[i]! ** 2)),
        Math.max(...a.map((value, i) => Math.abs(value - b[i]!))),
      ],
      { relative: 1e-7, reason: 'float64 sums in another order; the largest difference passes through float32 here' },
    );
    expect(error.worstRow.row).toBe(rowErrors.indexOf(Math.max(...rowErrors)));
  });

  it('by hand', () => {
    const original = { data: Float32Array.of(3, 4, 0, 0), shape: [2, 2] };
    expect(
      measureError(
        original,
        matrixOf([
          [3, 4],
          [0, 2],
        ]),
      ),
    ).toEqual({
      rmse: 1,
      worstRow: { row: 1, rmse: Math.SQRT2 },
      cosine: 25 / (5 * Math.sqrt(29)),
      maxAbsolute: 2,
    });
  });

  it('zeros on one side or both, no rows, no columns', () => {
    const zeros = { data: new Float32Array(2), shape: [1, 2] };
    expect(measureError(zeros, matrixOf([[0, 0]])).cosine).toBe(1);
    expect(measureError(zeros, matrixOf([[0, 1]])).cosine).toBe(0);
    const nothing = { rmse: 0, worstRow: { row: -1, rmse: 0 }, cosine: 1, maxAbsolute: 0 };
    expect(measureError({ data: new Float32Array(0), shape: [0, 0] }, matrixOf([]))).toEqual(nothing);
    expect(measureError({ data: new Float32Array(0), shape: [1, 0] }, matrixOf([[]]))).toEqual(nothing);
  });

  it('a NaN in the quantized matrix shows in every number', () => {
    const quantized = matrixOf([
      [0, 0],
      [Number.NaN, 1],
      [9, 9],
    ]);
    const error = measureError({ data: Float32Array.of(1, 1, 1, 1, 1, 1), shape: [3, 2] }, quantized);
    expect([error.rmse, error.cosine, error.maxAbsolute].every(Number.isNaN)).toBe(true);
    expect(error.worstRow.row).toBe(1);
  });
});

describe('errors of the formats', () => {
  it('Q8_0 < Q6_K < Q5_K < Q4_K on normal weights, each within what uniform rounding gives', () => {
    // A weight is off by a step / √12 on average; a step is the range of a block, about ±2 σ for 32 normal weights, over
    // the number of codes. 1.15: blocks differ.
    const bounds: [WeightFormat, number][] = [
      ['Q8_0', 4.6 / 254],
      ['Q6_K', 4.6 / 63],
      ['Q5_K', 4.6 / 31],
      ['Q4_K', 4.6 / 15],
    ];
    let previous = 0;
    for (const [format, step] of bounds) {
      const { rmse, cosine } = measureError(tensor, quantizeMatrix(tensor, format));
      expect(rmse, format).toBeGreaterThan(previous);
      expect(rmse, format).toBeLessThan((1.15 * step) / Math.sqrt(12));
      expect(cosine).toBeGreaterThan(0.995);
      previous = rmse;
    }
  });

  it('int8 per row lies between Q8_0 and Q6_K', () => {
    const rmse = measureError(tensor, int8PerRow(tensor)).rmse;
    expect(rmse).toBeGreaterThan(measureError(tensor, quantizeMatrix(tensor, 'Q8_0')).rmse);
    expect(rmse).toBeLessThan(measureError(tensor, quantizeMatrix(tensor, 'Q6_K')).rmse);
  });
});

describe('errors', () => {
  it('shapes that differ', () => {
    expect(() => measureError(tensor, matrixOf([[1, 2]]))).toThrow(
      'SHAPE measureError(quantized): expected shape [8, 512], that of the original, got [1, 2]',
    );
    expect(() => measureError({ data: new Float32Array(2), shape: [2] }, matrixOf([[1, 2]]))).toThrow(/^SHAPE/);
  });
});
