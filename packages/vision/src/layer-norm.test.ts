import { createSeededRandom, expectClose } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { layerNorm } from './layer-norm.ts';

const random = createSeededRandom(5);
const size = 37;
const x = { data: random.normals(6 * size, 3), shape: [6, size] };
const weights = {
  weight: { data: random.normals(size), shape: [size] },
  bias: { data: random.normals(size), shape: [size] },
};

describe('layerNorm', () => {
  it('is its definition, row by row', () => {
    const expected = Array.from({ length: 6 }, (_, row) => {
      const values = Array.from(x.data.slice(row * size, (row + 1) * size));
      const mean = values.reduce((a, b) => a + b) / size;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / size;
      return values.map((value, i) => {
        return ((value - mean) / Math.sqrt(variance + 1e-5)) * weights.weight.data[i]! + weights.bias.data[i]!;
      });
    }).flat();
    expectClose(layerNorm(x, weights, 1e-5).data, expected, {
      relative: 2 ** -23,
      absolute: 1e-7,
      reason: 'float64 inside, rounded once to float32',
    });
  });

  it('does not lose small differences on a large mean', () => {
    const far = { data: Float32Array.of(4096, 4097, 4098, 4099), shape: [1, 4] };
    const plain = {
      weight: { data: new Float32Array(4).fill(1), shape: [4] },
      bias: { data: new Float32Array(4), shape: [4] },
    };
    const spread = Math.sqrt(1.25);
    expectClose(
      layerNorm(far, plain, 0).data,
      [-1.5, -0.5, 0.5, 1.5].map((value) => value / spread),
      { relative: 1e-7, reason: 'float64 inside' },
    );
  });

  it('a row of equal values gives the bias', () => {
    const flat = { data: new Float32Array(size).fill(7), shape: [1, size] };
    expect(Array.from(layerNorm(flat, weights, 1e-5).data)).toEqual(Array.from(weights.bias.data));
  });

  it('rejects weights of another width', () => {
    const short = { data: new Float32Array(2), shape: [2] };
    expect(() => layerNorm(x, { ...weights, weight: short }, 1e-5)).toThrow(
      'SHAPE layerNorm(weights.weight): expected shape [37], got [2]',
    );
    expect(() => layerNorm(x, { ...weights, bias: short }, 1e-5)).toThrow(/^SHAPE layerNorm\(weights.bias\)/);
    expect(() => layerNorm(short, weights, 1e-5)).toThrow(/^SHAPE layerNorm\(x\)/);
  });
});
