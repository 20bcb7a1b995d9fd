import { createSeededRandom } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { rowProduct } from '../row-product.ts';
import { parseAwq } from './parse-awq.ts';

/** Packs `[in, out]` codes as AutoAWQ does: for each word, nibble k holds column order[k] of its eight. */
function packOutputs(codes: number[][]): { data: Int32Array; shape: number[] } {
  const order = [0, 2, 4, 6, 1, 3, 5, 7];
  const words = codes.flatMap((row) =>
    Array.from({ length: row.length / 8 }, (_, word) =>
      order.reduce((sum, column, k) => sum + row[8 * word + column]! * 16 ** k, 0),
    ),
  );
  return { data: Int32Array.from(words, (word) => word | 0), shape: [codes.length, codes[0]!.length / 8] };
}

const random = createSeededRandom(81);
const [inputs, outputs, group] = [64, 24, 16];
const codesOf = (rows: number) =>
  Array.from({ length: rows }, () => Array.from({ length: outputs }, () => random.integer(16)));
const codes = codesOf(inputs);
const zeros = codesOf(inputs / group);
const scales = { data: random.normals((inputs / group) * outputs), shape: [inputs / group, outputs] };
const layer = { qweight: packOutputs(codes), qzeros: packOutputs(zeros), scales };

describe('parseAwq', () => {
  it('the definition: w[o][i] = (q[i][o] − z[g][o]) · s[g][o]', () => {
    const matrix = parseAwq(layer);
    expect([matrix.shape, matrix.groupSize, matrix.bits]).toEqual([[outputs, inputs], group, 4]);
    const row = new Float32Array(inputs);
    for (let o = 0; o < outputs; o++) {
      matrix.dequantizeRow(o, row);
      for (let i = 0; i < inputs; i++) {
        const g = Math.floor(i / group);
        const expected = (codes[i]![o]! - zeros[g]![o]!) * scales.data[g * outputs + o]!;
        expect(row[i]).toBe(Math.fround(expected));
      }
    }
    const x = random.normals(inputs);
    matrix.dequantizeRow(5, row);
    expect(rowProduct(matrix, 5, x)).toBe(row.reduce((sum, w, i) => sum + w * x[i]!, 0));
  });

  it('by hand: the nibble at bit 4 is output 2, the one at bit 16 output 1', () => {
    const matrix = parseAwq({
      qweight: { data: Int32Array.of(0x76543210), shape: [1, 1] },
      qzeros: { data: Int32Array.of(0), shape: [1, 1] },
      scales: { data: new Float32Array(8).fill(1), shape: [1, 8] },
    });
    const row = new Float32Array(1);
    const weights = [0, 1, 2, 3, 4, 5, 6, 7].map((output) => {
      matrix.dequantizeRow(output, row);
      return row[0];
    });
    expect(weights).toEqual([0, 4, 1, 5, 2, 6, 3, 7]);
  });

  it('words with the top bit set are no negative codes', () => {
    const all = { data: Int32Array.of(-1), shape: [1, 1] };
    const scale = { data: new Float32Array(8).fill(2), shape: [1, 8] };
    const row = new Float32Array(1);
    parseAwq({ qweight: all, qzeros: { data: Uint32Array.of(0), shape: [1, 1] }, scales: scale }).dequantizeRow(7, row);
    expect(row[0]).toBe(30);
  });
});

describe('errors', () => {
  const change = (part: object) => () => parseAwq({ ...layer, ...part });

  it('shapes that do not belong together', () => {
    expect(change({ qweight: { data: new Int32Array(5), shape: [64, 3] } })).toThrow(
      'SHAPE parseAwq(qweight): expected two dimensions whose product is 5, the length of data, got [64, 3]',
    );
    expect(change({ qweight: { data: new Int32Array(192), shape: [192] } })).toThrow(/^SHAPE parseAwq\(qweight\)/);
    expect(change({ qweight: { data: new Int32Array(1), shape: [-1, -1] } })).toThrow(/^SHAPE parseAwq\(qweight\)/);
    expect(change({ scales: { data: new Float32Array(96), shape: [24, 4] } })).toThrow(
      'SHAPE parseAwq(scales): expected shape [24, 24], got [24, 4]',
    );
    expect(change({ qzeros: { data: new Int32Array(12), shape: [3, 4] } })).toThrow(
      'SHAPE parseAwq(qzeros): expected shape [4, 3], got [3, 4]',
    );
  });

  it('groups that do not divide the inputs, and none', () => {
    const parts = (groups: number) => ({
      qzeros: { data: new Int32Array(groups * 3), shape: [groups, 3] },
      scales: { data: new Float32Array(groups * 24), shape: [groups, 24] },
    });
    expect(change(parts(5))).toThrow(
      'PACKED_LAYOUT parseAwq(scales): expected a number of groups that divides the 64 inputs, got 5',
    );
    expect(change(parts(0))).toThrow(/^PACKED_LAYOUT/);
  });

  it('scales that are not finite', () => {
    const data = scales.data.slice();
    data[30] = Number.NaN;
    expect(change({ scales: { data, shape: [4, 24] } })).toThrow(
      'PACKED_LAYOUT parseAwq(scales): expected finite numbers, got NaN (key [1, 6])',
    );
  });

  it('a tensor that the layout does not have, rows and destinations', () => {
    expect(change({ g_idx: 0 })).toThrow(/^OPTION_UNKNOWN parseAwq\(g_idx\)/);
    expect(() => parseAwq(layer).dequantizeRow(24, new Float32Array(64))).toThrow(/^ARGUMENT dequantizeRow\(row\)/);
    expect(() => parseAwq(layer).dequantizeRow(0, new Float32Array(24))).toThrow(/^SHAPE dequantizeRow\(out\)/);
  });
});
