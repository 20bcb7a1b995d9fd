import type { FloatTensor } from '@phiblocks/tensor';
import { createSeededRandom, expectClose } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { arrangeFeatures } from './arrange-features.ts';
import { imageTokenCount } from './image-token-count.ts';
import { mergeFeatures2x2 } from './merge-features-2x2.ts';
import { projectFeatures } from './project-features.ts';

/** Numbers that tell where they stand. */
const counted = (...shape: number[]): FloatTensor => ({
  data: Float32Array.from({ length: shape.reduce((size, axis) => size * axis, 1) }, (_, i) => i),
  shape,
});

describe('mergeFeatures2x2', () => {
  it('by hand: one crop of 4 × 4 patches', () => {
    const { data, shape } = mergeFeatures2x2(counted(1, 16, 1), 1, 1);
    expect(shape).toEqual([2, 2, 4]);
    expect(Array.from(data)).toEqual([0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]);
  });

  it('is the published sequence of reshapes: every patch of every crop at its place', () => {
    const extent = fc.integer({ min: 1, max: 4 });
    fc.assert(
      fc.property(extent, extent, extent, extent, (numRows, numColumns, half, channels) => {
        const side = 2 * half;
        const features = counted(numRows * numColumns, side * side, channels);
        const { data, shape } = mergeFeatures2x2(features, numRows, numColumns);
        expect(shape).toEqual([numRows * half, numColumns * half, 4 * channels]);
        const expected: number[] = [];
        for (let y = 0; y < numRows * half; y++) {
          for (let x = 0; x < numColumns * half; x++) {
            for (const [dy, dx] of [
              [0, 0],
              [0, 1],
              [1, 0],
              [1, 1],
            ] as const) {
              // Row and column of the patch in the whole picture, then its crop and place in the crop.
              const row = 2 * y + dy;
              const column = 2 * x + dx;
              const crop = Math.floor(row / side) * numColumns + Math.floor(column / side);
              const patch = (row % side) * side + (column % side);
              for (let channel = 0; channel < channels; channel++) {
                expected.push(features.data[(crop * side * side + patch) * channels + channel]!);
              }
            }
          }
        }
        expect(Array.from(data)).toEqual(expected);
      }),
      { seed: 11 },
    );
  });

  it('rejects what does not fit', () => {
    expect(() => mergeFeatures2x2(counted(3, 4, 1), 2, 2)).toThrow(
      'SHAPE mergeFeatures2x2(features): expected shape [4, any, any], got [3, 4, 1]',
    );
    for (const patches of [0, 2, 9]) {
      expect(() => mergeFeatures2x2(counted(1, patches, 1), 1, 1)).toThrow(/the square of an even number of patches/);
    }
    expect(() => mergeFeatures2x2(counted(1, 4, 1), 0.5, 2)).toThrow(/^ARGUMENT mergeFeatures2x2\(numRows\)/);
  });
});

describe('arrangeFeatures', () => {
  const subGn = { data: Float32Array.of(-1, -1, -1, -1), shape: [1, 1, 1, 4] };
  const glbGn = { data: Float32Array.of(-2, -2, -2, -2), shape: [1, 1, 4] };

  it('by hand: two crops side by side, then the separator, then the global view', () => {
    const { data, shape } = arrangeFeatures(counted(3, 4, 1), 1, 2, subGn, glbGn);
    expect(shape).toEqual([6, 4]);
    expect(Array.from(data)).toEqual([
      ...[4, 5, 6, 7, 8, 9, 10, 11, -1, -1, -1, -1],
      ...[-2, -2, -2, -2],
      ...[0, 1, 2, 3, -1, -1, -1, -1],
    ]);
  });

  it('gives as many rows as an image has tokens', () => {
    for (const [rows, columns] of [
      [1, 1],
      [3, 2],
      [1, 16],
    ] as const) {
      const { shape } = arrangeFeatures(counted(1 + rows * columns, 576, 1), rows, columns, subGn, glbGn);
      expect(shape).toEqual([imageTokenCount(rows * 336, columns * 336), 4]);
    }
  });

  it('rejects what does not fit', () => {
    expect(() => arrangeFeatures(counted(2, 4, 1), 1, 2, subGn, glbGn)).toThrow(/^SHAPE arrangeFeatures\(features\)/);
    expect(() => arrangeFeatures(counted(3, 4, 2), 1, 2, subGn, glbGn)).toThrow(
      'SHAPE arrangeFeatures(subGn): expected shape [8], got [4]',
    );
    expect(() => arrangeFeatures(counted(3, 4, 1), 1, 2, subGn, counted(2, 4))).toThrow(
      /^SHAPE arrangeFeatures\(glbGn\)/,
    );
  });
});

describe('projectFeatures', () => {
  it('is two linear layers with the exact GELU between them', () => {
    const random = createSeededRandom(12);
    const tensor = (...shape: number[]) => ({ data: random.normals(shape.reduce((a, b) => a * b)), shape });
    const weights = {
      linear1: { weight: tensor(5, 8), bias: tensor(5) },
      linear2: { weight: tensor(5, 5), bias: tensor(5) },
    };
    const x = tensor(3, 8);
    const erf = (value: number) => {
      // Taylor series, enough for arguments below 6 in float64 to 1e-6.
      let sum = 0;
      let term = value;
      for (let n = 0; n < 200; n++) {
        sum += term / (2 * n + 1);
        term *= -(value * value) / (n + 1);
      }
      return (2 / Math.sqrt(Math.PI)) * sum;
    };
    const dense = (row: number[], { weight, bias }: { weight: FloatTensor; bias: FloatTensor }) =>
      Array.from(bias.data, (b, out) =>
        row.reduce((sum, value, i) => sum + value * weight.data[out * row.length + i]!, b),
      );
    const expected = [0, 1, 2].flatMap((row) => {
      const hidden = dense(Array.from(x.data.slice(row * 8, (row + 1) * 8)), weights.linear1);
      const activated = hidden.map((z) => (Math.abs(z) > 7 ? Math.max(z, 0) : (z / 2) * (1 + erf(z / Math.SQRT2))));
      return dense(activated, weights.linear2);
    });
    expectClose(projectFeatures(x, weights).data, expected, {
      absolute: 1e-5,
      reason: 'float32 between the layers, values up to 20; the series above cancels to 1e-6',
    });
  });

  it('rejects features of another width', () => {
    const layer = { weight: counted(2, 3), bias: counted(2) };
    expect(() => projectFeatures(counted(1, 4), { linear1: layer, linear2: layer })).toThrow(/^SHAPE linear/);
  });
});
