import { createSeededRandom } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { quantizeMatrix } from './quantize-matrix.ts';
import { quantizeRow } from './quantize-row.ts';

const random = createSeededRandom(41);
const tensor = { data: random.normals(4 * 256), shape: [4, 256] };

describe('quantizeMatrix', () => {
  it('is quantizeRow for every row, with the same options', () => {
    const importance = Float32Array.from({ length: 256 }, () => random.uniform());
    for (const options of [{}, { search: true }, { importance }]) {
      for (const format of ['Q4_0', 'Q5_1', 'Q6_K', 'F16'] as const) {
        const matrix = quantizeMatrix(tensor, format, options);
        const expected = [0, 1, 2, 3].flatMap((row) => [
          ...quantizeRow(format, tensor.data.subarray(row * 256, (row + 1) * 256), options),
        ]);
        expect([...matrix.bytes]).toEqual(expected);
      }
    }
  });

  it('a matrix may have no rows or no columns', () => {
    expect(quantizeMatrix({ data: new Float32Array(0), shape: [0, 32] }, 'Q4_0').bytes.length).toBe(0);
    expect(quantizeMatrix({ data: new Float32Array(0), shape: [3, 0] }, 'Q4_K').shape).toEqual([3, 0]);
  });
});

describe('errors', () => {
  it('name the tensor, the row and the column', () => {
    const data = tensor.data.slice();
    data[2 * 256 + 7] = Number.NaN;
    expect(() => quantizeMatrix({ data, shape: [4, 256] }, 'Q4_K', { name: 'blk.0.ffn_up.weight' })).toThrow(
      'WEIGHT_NOT_FINITE quantizeMatrix(values): expected finite numbers, got NaN ' +
        '(tensor blk.0.ffn_up.weight, key row 2, column 7)',
    );
    data[2 * 256 + 7] = 3e38;
    expect(() => quantizeMatrix({ data, shape: [4, 256] }, 'Q4_0')).toThrow(
      /^SCALE_OVERFLOW .* \(key row 2, column 0\)/,
    );
  });

  it('shapes and options that do not fit', () => {
    expect(() => quantizeMatrix({ data: new Float32Array(32), shape: [32] }, 'Q4_0')).toThrow(
      'SHAPE quantizeMatrix(tensor): expected shape [any, any], got [32]',
    );
    expect(() => quantizeMatrix({ data: new Float32Array(66), shape: [2, 33] }, 'Q4_0', { name: 'w' })).toThrow(
      'SHAPE quantizeMatrix(tensor): expected rows of a multiple of 32 weights for Q4_0, got 33 (tensor w)',
    );
    const misspelt = { important: new Float32Array(256) } as object;
    expect(() => quantizeMatrix(tensor, 'Q4_0', misspelt)).toThrow(/^OPTION_UNKNOWN quantizeMatrix\(important\)/);
  });

  it('rows that do not exist and destinations of another length', () => {
    const matrix = quantizeMatrix(tensor, 'Q8_0');
    for (const row of [-1, 4, 0.5, Number.NaN]) {
      expect(() => matrix.dequantizeRow(row, new Float32Array(256))).toThrow(/^ARGUMENT dequantizeRow\(row\)/);
    }
    expect(() => matrix.dequantizeRow(0, new Float32Array(255))).toThrow(
      'SHAPE dequantizeRow(out): expected 256 elements, got 255',
    );
  });
});
