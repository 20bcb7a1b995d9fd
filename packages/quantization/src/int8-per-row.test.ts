import { createSeededRandom, expectClose } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dynamicInt8Activations } from './activations/dynamic-int8-activations.ts';
import { dynamicUint8Activations } from './activations/dynamic-uint8-activations.ts';
import { int8PerRow, int8RowProduct } from './int8-per-row.ts';
import { measureError } from './measure-error.ts';

const random = createSeededRandom(61);

describe('int8PerRow', () => {
  it('the definition: absmax / 127 per row, nearest code', () => {
    const tensor = { data: random.normals(6 * 50), shape: [6, 50] };
    const { quants, scales } = int8PerRow(tensor);
    for (let row = 0; row < 6; row++) {
      const values = tensor.data.slice(row * 50, (row + 1) * 50);
      const scale = Math.fround(Math.max(...values.map(Math.abs)) / 127);
      expect(scales[row]).toBe(scale);
      for (let i = 0; i < 50; i++) {
        const distance = Math.abs(values[i]! / scale - quants[row * 50 + i]!);
        // 127 · 2^-24: the scale is rounded to float32, so the largest weight need not lie on 127 exactly.
        expect(distance).toBeLessThanOrEqual(0.5 + 127 * 2 ** -24);
      }
    }
  });

  it('by hand, with rows of zeros, of the smallest numbers and with an outlier', () => {
    const data = Float32Array.of(-254, 2, 0, 0, 0, 0, 1e-45, 0, 0, 1e30, 1, 1);
    const matrix = int8PerRow({ data, shape: [4, 3] });
    expect([...matrix.quants]).toEqual([-127, 1, 0, 0, 0, 0, 0, 0, 0, 127, 0, 0]);
    expect([...matrix.scales].slice(0, 3)).toEqual([2, 0, 0]);
    const row = new Float32Array(3);
    matrix.dequantizeRow(0, row);
    expect([...row]).toEqual([-254, 2, 0]);
  });

  it('a search never makes the error larger, and makes it smaller for a row with an outlier', () => {
    fc.assert(
      fc.property(fc.integer(), fc.boolean(), (seed, weighted) => {
        const numbers = createSeededRandom(seed);
        const tensor = { data: numbers.normals(2 * 96).map((x) => x ** 3), shape: [2, 96] };
        const importance = Float32Array.from({ length: 96 }, () => numbers.uniform());
        const error = (matrix: ReturnType<typeof int8PerRow>) => {
          const row = new Float32Array(96);
          return [0, 1].map((r) => {
            matrix.dequantizeRow(r, row);
            return row.reduce(
              (sum, w, i) => sum + (weighted ? importance[i]! : 1) * (w - tensor.data[r * 96 + i]!) ** 2,
              0,
            );
          });
        };
        const plain = error(int8PerRow(tensor));
        const searched = error(int8PerRow(tensor, weighted ? { importance } : { search: true }));
        for (const r of [0, 1]) expect(searched[r]).toBeLessThanOrEqual(plain[r]!);
      }),
      { seed: 62, numRuns: 60 },
    );
    const importance = new Float32Array(1000).fill(1);
    importance[0] = 0; // an outlier that does not matter
    const tensor = { data: createSeededRandom(63).normals(1000), shape: [1, 1000] };
    tensor.data[0] = 7;
    const rest = (matrix: ReturnType<typeof int8PerRow>) => {
      const row = new Float32Array(1000);
      matrix.dequantizeRow(0, row);
      return row.reduce((sum, w, i) => sum + importance[i]! * (w - tensor.data[i]!) ** 2, 0);
    };
    expect(rest(int8PerRow(tensor, { importance }))).toBeLessThan(0.5 * rest(int8PerRow(tensor)));
  });

  it('errors', () => {
    const tensor = { data: Float32Array.of(1, Number.NaN), shape: [1, 2] };
    expect(() => int8PerRow(tensor, { name: 'w' })).toThrow(
      'WEIGHT_NOT_FINITE int8PerRow(values): expected finite numbers, got NaN (tensor w, key row 0, column 1)',
    );
    expect(() => int8PerRow({ data: new Float32Array(2), shape: [2] })).toThrow(/^SHAPE int8PerRow\(tensor\)/);
    const good = { data: new Float32Array(2), shape: [1, 2] };
    expect(() => int8PerRow(good, { importance: new Float32Array(3) })).toThrow(
      /^SHAPE int8PerRow\(options.importance\)/,
    );
    expect(() => int8PerRow(good, { importance: new Float32Array(2), search: false })).toThrow(
      /^ARGUMENT int8PerRow\(options.search\)/,
    );
    expect(() => int8PerRow(good, { symmetric: true } as object)).toThrow(/^OPTION_UNKNOWN/);
    expect(() => int8PerRow(good).dequantizeRow(1, new Float32Array(2))).toThrow(/^ARGUMENT dequantizeRow\(row\)/);
    expect(() => int8PerRow(good).dequantizeRow(0, new Float32Array(1))).toThrow(/^SHAPE dequantizeRow\(out\)/);
  });
});

describe('int8RowProduct', () => {
  it('the definition: the dot product of both sides dequantized', () => {
    const matrix = int8PerRow({ data: random.normals(4 * 100), shape: [4, 100] });
    const x = random.normals(100, 3);
    const weights = new Float32Array(100);
    const perGroup = dynamicInt8Activations(x);
    const perRow = dynamicInt8Activations(x, { groupSize: 'row' });
    const unsigned = dynamicUint8Activations(x);
    for (let row = 0; row < 4; row++) {
      matrix.dequantizeRow(row, weights);
      const dot = (activation: (i: number) => number) => weights.reduce((sum, w, i) => sum + w * activation(i), 0);
      expectClose(
        [perGroup, perRow, unsigned].map((activations) => int8RowProduct(matrix, row, activations)),
        [
          dot((i) => perGroup.quants[i]! * perGroup.scales[i >> 5]!),
          dot((i) => perRow.quants[i]! * perRow.scales[0]!),
          dot((i) => (unsigned.quants[i]! - unsigned.zeroPoint) * unsigned.scale),
        ],
        // 100 products of about 1 · 3, each weight rounded to float32.
        { absolute: 300 * 2 ** -24, reason: 'dequantized weights are rounded to float32' },
      );
    }
  });

  it('comes close to the float product', () => {
    const tensor = { data: random.normals(256), shape: [1, 256] };
    const matrix = int8PerRow(tensor);
    expect(measureError(tensor, matrix).cosine).toBeGreaterThan(0.9999);
    const exact = tensor.data.reduce((sum, w) => sum + w * w, 0); // x = w: about 256
    for (const activations of [dynamicInt8Activations(tensor.data), dynamicUint8Activations(tensor.data)]) {
      expect(Math.abs(int8RowProduct(matrix, 0, activations) - exact)).toBeLessThan(0.01 * exact);
    }
  });

  it('errors', () => {
    const matrix = int8PerRow({ data: new Float32Array(4), shape: [1, 4] });
    expect(() => int8RowProduct(matrix, 1, dynamicInt8Activations(new Float32Array(4)))).toThrow(
      /^ARGUMENT int8RowProduct\(row\)/,
    );
    expect(() => int8RowProduct(matrix, 0, dynamicUint8Activations(new Float32Array(5)))).toThrow(
      /^SHAPE int8RowProduct\(activations\)/,
    );
  });
});
