import type { WeightFormat } from '@phiblocks/tensor';
import { createSeededRandom } from '@phiblocks/testing';
import { createWeightMatrix } from '@phiblocks/weights';
import { describe, expect, it } from 'vitest';
import { dequantizeRow } from './dequantize-row.ts';
import { quantizeMatrix } from './quantize-matrix.ts';
import { rowFits, rowSizeInBytes } from './row-size.ts';

const formats: WeightFormat[] = [
  ...(['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q4_K', 'Q5_K', 'Q6_K'] as const),
];

// The definition of each format, one weight at a time in float64, stands in the tests of `weights`, which reads files. Here
// its reader is the judge: another implementation, against which every byte pattern must give the same weight.

describe('the same weights as the reader of files', () => {
  it.each(formats)('%s: for random bytes, with infinite and NaN scales where the bytes say so', (format) => {
    const random = createSeededRandom(31);
    const [rows, columns] = [40, 768];
    const bytes = Uint8Array.from({ length: rows * rowSizeInBytes(format, columns) }, () => random.integer(256));
    const judge = createWeightMatrix(format, [rows, columns], bytes);
    const expected = new Float32Array(columns);
    const actual = new Float32Array(columns);
    for (let row = 0; row < rows; row++) {
      judge.dequantizeRow(row, expected);
      dequantizeRow(
        format,
        bytes.subarray(row * rowSizeInBytes(format, columns), (row + 1) * rowSizeInBytes(format, columns)),
        actual,
      );
      for (let i = 0; i < columns; i++) {
        if (!Object.is(actual[i], expected[i]))
          expect.fail(`row ${row}, weight ${i}: got ${actual[i]}, expected ${expected[i]}`);
      }
    }
  });

  it.each(formats)('%s: a quantized matrix is what a reader of its bytes gives', (format) => {
    const tensor = { data: createSeededRandom(32).normals(5 * 512), shape: [5, 512] };
    const matrix = quantizeMatrix(tensor, format);
    const judge = createWeightMatrix(format, [5, 512], matrix.bytes);
    expect([matrix.format, matrix.shape]).toEqual([judge.format, judge.shape]);
    const expected = new Float32Array(512);
    const actual = new Float32Array(512);
    for (const row of [4, 0, 2]) {
      judge.dequantizeRow(row, expected);
      matrix.dequantizeRow(row, actual);
      expect(actual).toEqual(expected);
    }
  });
});

describe('by hand', () => {
  it('Q5_1: the fifth bit adds 16', () => {
    const bytes = Uint8Array.from([0x00, 0x3c, 0x00, 0x34, 1, 0, 0, 0x80, ...new Array(16).fill(0)]);
    const weights = dequantizeRow('Q5_1', bytes, new Float32Array(32));
    expect([weights[0], weights[1], weights[31]]).toEqual([16.25, 0.25, 16.25]);
  });

  it('Q4_K: the minimum is subtracted, and the upper scales are put together from two places', () => {
    const bytes = new Uint8Array(144);
    bytes.set([0x00, 0x3c, 0x00, 0x40]); // d = 1, dmin = 2
    bytes[4] = 0xc0 | 3; // scale 0 = 3, top bits of scale 4 = 3
    bytes[8] = 5; //        minimum 0 = 5
    bytes[12] = 0x21; //    low bits of scale 4 = 1, of minimum 4 = 2
    bytes[16] = 0x07; //    code of weight 0
    bytes[16 + 64] = 0x02; // code of weight 128, the first of group 4
    const weights = dequantizeRow('Q4_K', bytes, new Float32Array(256));
    expect([weights[0], weights[1], weights[32]]).toEqual([3 * 7 - 2 * 5, -10, 0]);
    expect([weights[128], weights[129]]).toEqual([49 * 2 - 2 * 2, -4]);
  });
});

describe('sizes', () => {
  it('rowFits and rowSizeInBytes', () => {
    expect(formats.map((format) => rowSizeInBytes(format, 256))).toEqual([
      1024, 512, 512, 272, 144, 160, 176, 192, 144, 176, 210,
    ]);
    expect([rowFits('Q4_0', 32), rowFits('Q4_0', 48), rowFits('Q6_K', 128), rowFits('F16', 7)]).toEqual([
      true,
      false,
      false,
      true,
    ]);
  });
});

describe('errors', () => {
  it('bytes that are too few or too many', () => {
    expect(() => dequantizeRow('Q4_0', new Uint8Array(17), new Float32Array(32))).toThrow(
      'SHAPE dequantizeRow(bytes): expected 18 bytes for 32 weights of Q4_0, got 17',
    );
  });

  it('an unknown format', () => {
    expect(() => dequantizeRow('IQ2_XS' as WeightFormat, new Uint8Array(0), new Float32Array(0))).toThrow(
      /^ARGUMENT dequantizeRow\(format\): expected F32/,
    );
    expect(() => rowFits('' as WeightFormat, 1)).toThrow(/^ARGUMENT rowFits\(format\)/);
  });

  it('lengths that are none', () => {
    for (const columns of [-32, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(rowFits('F32', columns)).toBe(false);
      expect(() => rowSizeInBytes('Q4_0', columns)).toThrow(/^SHAPE rowSizeInBytes\(columns\)/);
    }
  });
});
