import { createSeededRandom } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { measureSparsity } from './measure-sparsity.ts';
import { pruneByMagnitude } from './prune-by-magnitude.ts';
import { pruneNToM } from './prune-n-to-m.ts';
import { pruneWanda } from './prune-wanda.ts';

type Matrix = { data: Float32Array; shape: [number, number] };

/** The definition: rank the indices by score, then by position, and zero the first `count`. */
function zeroed(weights: Matrix, groups: number[][], count: number, score: (i: number) => number): Float32Array {
  const out = weights.data.slice();
  for (const group of groups) {
    const ranked = [...group].sort((a, b) => score(a) - score(b) || a - b);
    for (const i of ranked.slice(0, count)) out[i] = 0;
  }
  return out;
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

const cases = fc
  .tuple(
    fc.integer(),
    fc.integer({ min: 1, max: 6 }),
    fc.integer({ min: 1, max: 6 }),
    fc.double({ min: 0, max: 1, noNaN: true }),
  )
  .map(([seed, rows, quads, fraction]) => {
    const random = createSeededRandom(seed);
    const columns = 4 * quads;
    // Steps of a half, so that there are ties.
    const data = random.normals(rows * columns).map((x) => Math.round(2 * x) / 2);
    const norms = Float32Array.from({ length: columns }, () => random.integer(4));
    return { weights: { data, shape: [rows, columns] } as Matrix, norms, fraction, rows, columns };
  });

describe('the definition', () => {
  it('pruneByMagnitude: the smallest of the whole matrix', () => {
    fc.assert(
      fc.property(cases, ({ weights, fraction }) => {
        const size = weights.data.length;
        expect(pruneByMagnitude(weights, fraction).data).toEqual(
          zeroed(weights, [range(0, size)], Math.floor(fraction * size), (i) => Math.abs(weights.data[i]!)),
        );
      }),
      { seed: 111, numRuns: 200 },
    );
  });

  it('pruneWanda: the lowest |w| · norm of each row', () => {
    fc.assert(
      fc.property(cases, ({ weights, norms, fraction, rows, columns }) => {
        const groups = range(0, rows).map((row) => range(row * columns, (row + 1) * columns));
        expect(pruneWanda(weights, norms, fraction).data).toEqual(
          zeroed(
            weights,
            groups,
            Math.floor(fraction * columns),
            (i) => Math.abs(weights.data[i]!) * norms[i % columns]!,
          ),
        );
      }),
      { seed: 112, numRuns: 200 },
    );
  });

  it('pruneNToM: the n lowest of every m, by either score', () => {
    fc.assert(
      fc.property(
        cases,
        fc.constantFrom([2, 4], [1, 4], [4, 4], [0, 2], [1, 2]),
        fc.boolean(),
        (one, [n, m], wanda) => {
          const { weights, norms, columns } = one;
          const groups = range(0, weights.data.length / m!).map((group) => range(group * m!, (group + 1) * m!));
          const score = (i: number) => Math.abs(weights.data[i]!) * (wanda ? norms[i % columns]! : 1);
          const options = { n: n!, m: m!, inputNorms: wanda ? norms : undefined };
          expect(pruneNToM(weights, options).data).toEqual(zeroed(weights, groups, n!, score));
        },
      ),
      { seed: 113, numRuns: 200 },
    );
  });
});

describe('by hand', () => {
  const weights: Matrix = { data: Float32Array.of(1, -2, 3, -4, 5, 6, -7, 8), shape: [2, 4] };

  it('the three methods disagree', () => {
    expect([...pruneByMagnitude(weights, 0.5).data]).toEqual([0, 0, 0, 0, 5, 6, -7, 8]);
    expect([...pruneWanda(weights, new Float32Array(4).fill(1), 0.5).data]).toEqual([0, 0, 3, -4, 0, 0, -7, 8]);
    expect([...pruneWanda(weights, Float32Array.of(9, 1, 1, 1), 0.5).data]).toEqual([1, 0, 0, -4, 5, 0, 0, 8]);
    expect([...pruneNToM(weights).data]).toEqual([0, 0, 3, -4, 0, 0, -7, 8]);
  });

  it('a common factor in the norms does not matter', () => {
    const norms = Float32Array.of(1, 3, 2, 0.5);
    expect(
      pruneWanda(
        weights,
        norms.map((x) => 8 * x),
        0.5,
      ),
    ).toEqual(pruneWanda(weights, norms, 0.5));
  });
});

describe('destinations', () => {
  it('the weights are left alone unless they are the destination', () => {
    const weights = { data: createSeededRandom(114).normals(64), shape: [4, 16] };
    const before = weights.data.slice();
    const norms = new Float32Array(16).fill(1);
    for (const prune of [
      (out?: typeof weights) => pruneByMagnitude(weights, 0.5, out),
      (out?: typeof weights) => pruneWanda(weights, norms, 0.5, out),
      (out?: typeof weights) => pruneNToM(weights, { out }),
    ]) {
      weights.data.set(before);
      const fresh = prune();
      expect(weights.data).toEqual(before);
      expect(measureSparsity(fresh)).toBe(0.5);
      const other = { data: new Float32Array(64).fill(9), shape: [4, 16] };
      expect(prune(other)).toBe(other);
      expect(other.data).toEqual(fresh.data);
      expect(prune(weights)).toBe(weights);
      expect(weights.data).toEqual(fresh.data);
    }
  });

  it('nothing and everything', () => {
    const weights = { data: Float32Array.of(1, 2, 3, 4), shape: [1, 4] };
    expect(pruneByMagnitude(weights, 0)).toEqual(weights);
    expect(measureSparsity(pruneByMagnitude(weights, 1))).toBe(1);
    expect(measureSparsity({ data: new Float32Array(0), shape: [0] })).toBe(0);
    expect(pruneByMagnitude({ data: new Float32Array(0), shape: [0, 4] }, 0.5).data.length).toBe(0);
  });
});

describe('errors', () => {
  const weights = { data: new Float32Array(8), shape: [2, 4] };
  const norms = new Float32Array(4);

  it('fractions, norms, n and m', () => {
    for (const fraction of [-0.1, 1.1, Number.NaN]) {
      expect(() => pruneByMagnitude(weights, fraction)).toThrow(/^ARGUMENT pruneByMagnitude\(fraction\)/);
      expect(() => pruneWanda(weights, norms, fraction)).toThrow(/^ARGUMENT pruneWanda\(fraction\)/);
    }
    expect(() => pruneWanda(weights, new Float32Array(3), 0.5)).toThrow(
      'SHAPE pruneWanda(inputNorms): expected 4 elements, one per column, got 3',
    );
    expect(() => pruneWanda(weights, Float32Array.of(0, -1, 0, 0), 0.5)).toThrow(
      'ARGUMENT pruneWanda(inputNorms): expected finite numbers from 0 up, got -1 (key [1])',
    );
    expect(() => pruneNToM(weights, { m: 0 })).toThrow(/^ARGUMENT pruneNToM\(options.m\)/);
    expect(() => pruneNToM(weights, { n: 5 })).toThrow(/^ARGUMENT pruneNToM\(options.n\)/);
    expect(() => pruneNToM(weights, { n: 1, m: 3 })).toThrow(/^SHAPE pruneNToM\(weights\)/);
    expect(() => pruneNToM(weights, { pattern: '2:4' } as object)).toThrow(/^OPTION_UNKNOWN/);
  });

  it('weights that are no matrix or not finite, destinations of another shape', () => {
    const bad = { data: Float32Array.of(1, Number.NaN), shape: [1, 2] };
    expect(() => pruneByMagnitude(bad, 0.5)).toThrow(
      'WEIGHT_NOT_FINITE pruneByMagnitude(weights): expected finite numbers, got NaN (key element 1)',
    );
    expect(() => pruneWanda(bad, new Float32Array(2), 0.5)).toThrow(/^WEIGHT_NOT_FINITE/);
    expect(() => pruneNToM(bad, { n: 1, m: 2 })).toThrow(/^WEIGHT_NOT_FINITE/);
    expect(() => pruneByMagnitude({ data: new Float32Array(8), shape: [8] }, 0.5)).toThrow(/^SHAPE/);
    expect(() => pruneByMagnitude(weights, 0.5, { data: new Float32Array(8), shape: [4, 2] })).toThrow(
      'SHAPE pruneByMagnitude(out): expected shape [2, 4], got [4, 2]',
    );
  });
});
