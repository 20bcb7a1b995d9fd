import type { WeightFormat } from '@phiblocks/tensor';
import { createSeededRandom } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dequantizeRow } from './dequantize-row.ts';
import { quantizeRow } from './quantize-row.ts';

const formats: WeightFormat[] = ['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'Q4_K', 'Q5_K', 'Q6_K'];

function weightedError(
  format: WeightFormat,
  values: Float32Array,
  bytes: Uint8Array,
  importance?: Float32Array,
): number {
  const back = dequantizeRow(format, bytes, new Float32Array(values.length));
  let error = 0;
  for (let i = 0; i < values.length; i++) error += (importance?.[i] ?? 1) * (back[i]! - values[i]!) ** 2;
  return error;
}

describe('never worse than without search', () => {
  const kinds: ((random: ReturnType<typeof createSeededRandom>) => number)[] = [
    (random) => random.normal(),
    (random) => random.uniform() - 0.5,
    (random) => random.normal() ** 3,
    (random) => (random.uniform() < 0.9 ? 0 : random.normal()),
    (random) => 5 + random.normal(),
    (random) => -5 + random.normal(),
    (random) => random.normal() * 1e-7,
    (random) => Math.round(random.normal() * 2) / 2,
  ];

  it.each(formats)('%s: in every block, plain and weighted, also by importance with zeros', (format) => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.constantFrom(...kinds),
        fc.constantFrom<'plain' | 'spread' | 'zeros' | 'none'>('plain', 'spread', 'zeros', 'none'),
        (seed, kind, weighting) => {
          const random = createSeededRandom(seed);
          const values = Float32Array.from({ length: 256 }, () => kind(random));
          const importance = Float32Array.from({ length: 256 }, (_, i) => {
            if (weighting === 'none') return 0;
            if (weighting === 'zeros' && (i % 3 === 0 || i < 64)) return 0;
            return Math.exp(2 * random.normal());
          });
          const weights = weighting === 'plain' ? undefined : importance;
          const searched = quantizeRow(format, values, weights ? { importance: weights } : { search: true });
          const plain = quantizeRow(format, values, { search: false });
          expect(weightedError(format, values, searched, weights)).toBeLessThanOrEqual(
            // One part in 10^12: the sums are taken in another order than inside.
            weightedError(format, values, plain, weights) * (1 + 1e-12),
          );
        },
      ),
      { seed: 21, numRuns: 120 },
    );
  });

  it.each(formats)('%s: clearly better on normal weights', (format) => {
    const values = createSeededRandom(22).normals(8192, 0.02);
    const searched = weightedError(format, values, quantizeRow(format, values, { search: true }));
    const plain = weightedError(format, values, quantizeRow(format, values, { search: false }));
    expect(searched).toBeLessThan(0.93 * plain); // measured: 0.77 to 0.88
  });

  it.each(formats)('%s: columns that count more come out closer', (format) => {
    const values = createSeededRandom(23).normals(4096);
    const importance = Float32Array.from({ length: 4096 }, (_, i) => (i % 4 === 0 ? 50 : 1));
    const back = dequantizeRow(format, quantizeRow(format, values, { importance }), new Float32Array(4096));
    const plain = dequantizeRow(format, quantizeRow(format, values, { search: true }), new Float32Array(4096));
    const errorOfImportant = (weights: Float32Array) =>
      weights.reduce((sum, w, i) => sum + (i % 4 === 0 ? (w - values[i]!) ** 2 : 0), 0);
    expect(errorOfImportant(back)).toBeLessThan(errorOfImportant(plain));
  });

  it('a block whose columns do not count at all is still close to its weights', () => {
    const values = createSeededRandom(24).normals(256);
    for (const format of formats) {
      const bytes = quantizeRow(format, values, { importance: new Float32Array(256) });
      const rmse = Math.sqrt(weightedError(format, values, bytes) / 256);
      expect(rmse, format).toBeLessThan(0.12); // 4 bits on standard normal weights: about 0.09
    }
  });
});

describe('groups that do not count', () => {
  it.each(['Q4_K', 'Q5_K', 'Q6_K'] as const)('%s: stay close to their weights beside groups that do', (format) => {
    const values = createSeededRandom(26).normals(512);
    const importance = Float32Array.from({ length: 512 }, (_, i) => (i % 64 < 32 ? 0 : 1));
    const back = dequantizeRow(format, quantizeRow(format, values, { importance }), new Float32Array(512));
    let error = 0;
    for (let i = 0; i < 512; i++) if (i % 64 < 32) error += (back[i]! - values[i]!) ** 2;
    expect(Math.sqrt(error / 256)).toBeLessThan(0.12); // as above
  });
});

describe('near the best there is', () => {
  // The definition: a dense scan over scales, rounded to float16 or not does not matter at this density.
  function bestSymmetric(x: Float32Array, lowest: number, highest: number): number {
    const largest = x.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    let best = Number.POSITIVE_INFINITY;
    for (const sign of [1, -1]) {
      for (let reach = 0.5 * -lowest; reach < 2 * -lowest; reach += 0.002) {
        const scale = (sign * largest) / reach;
        let error = 0;
        for (const value of x) {
          const code = Math.max(lowest, Math.min(highest, Math.round(value / scale)));
          error += (scale * code - value) ** 2;
        }
        best = Math.min(best, error);
      }
    }
    return best;
  }

  it.each([
    ['Q4_0', -8, 7],
    ['Q5_0', -16, 15],
  ] as const)('%s: within 1 % of the error of a dense scan on average', (format, lowest, highest) => {
    const random = createSeededRandom(25);
    let found = 0;
    let best = 0;
    for (let block = 0; block < 40; block++) {
      const values = random.normals(32);
      found += weightedError(format, values, quantizeRow(format, values, { search: true }));
      best += bestSymmetric(values, lowest, highest);
    }
    expect(found).toBeLessThan(1.01 * best);
    // The scan cannot be much worse than what is found, or it is no judge.
    expect(best).toBeLessThan(1.01 * found);
  });
});
