import { float16ToFloat32, float32ToFloat16, type WeightFormat } from '@phiblocks/tensor';
import { createSeededRandom } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadGoldenRows } from '../test/golden-rows.ts';
import { dequantizeRow } from './dequantize-row.ts';
import { quantizeRow } from './quantize-row.ts';

// The definition: one block of 32 at a time from the published description, each float32 operation rounded by Math.fround.

const f = Math.fround;
const halfBytes = (value: number): number[] => {
  const bits = float32ToFloat16(value);
  return [bits % 256, Math.floor(bits / 256)];
};
const largestOf = (x: number[]): number => x.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
const inverse = (d: number): number => (d === 0 ? 0 : f(1 / d));
/** Bytes of nibbles, and the 32 bits above them as four bytes. */
const nibbles = (q: number[]): number[] => Array.from({ length: 16 }, (_, j) => (q[j]! % 16) + 16 * (q[j + 16]! % 16));
const fifthBits = (q: number[]): number[] =>
  [0, 8, 16, 24].map((first) =>
    Array.from({ length: 8 }, (_, k) => Math.floor(q[first + k]! / 16) * 2 ** k).reduce((a, b) => a + b),
  );

type Definition = (x: number[]) => number[];
const definitions: Record<'Q4_0' | 'Q4_1' | 'Q5_0' | 'Q5_1' | 'Q8_0', Definition> = {
  Q4_0(x) {
    const d = f(largestOf(x) / -8);
    const q = x.map((v) => Math.min(15, Math.trunc(f(f(v * inverse(d)) + 8.5))));
    return [...halfBytes(d), ...nibbles(q)];
  },
  Q4_1(x) {
    const m = Math.min(...x);
    const d = f(f(Math.max(...x) - m) / 15);
    const q = x.map((v) => Math.min(15, Math.trunc(f(f(f(v - m) * inverse(d)) + 0.5))));
    return [...halfBytes(d), ...halfBytes(m), ...nibbles(q)];
  },
  Q5_0(x) {
    const d = f(largestOf(x) / -16);
    const q = x.map((v) => Math.min(31, Math.trunc(f(f(v * inverse(d)) + 16.5))));
    return [...halfBytes(d), ...fifthBits(q), ...nibbles(q)];
  },
  Q5_1(x) {
    const m = Math.min(...x);
    const d = f(f(Math.max(...x) - m) / 31);
    const q = x.map((v) => Math.trunc(f(f(f(v - m) * inverse(d)) + 0.5)));
    return [...halfBytes(d), ...halfBytes(m), ...fifthBits(q), ...nibbles(q)];
  },
  Q8_0(x) {
    const d = f(Math.abs(largestOf(x)) / 127);
    const q = x.map((v) => {
      const scaled = f(v * inverse(d));
      return Math.sign(scaled) * Math.floor(Math.abs(scaled) + 0.5);
    });
    return [...halfBytes(d), ...q.map((code) => (code + 256) % 256)];
  },
};

const exactFormats = Object.keys(definitions) as (keyof typeof definitions)[];
const formats: WeightFormat[] = [...exactFormats, 'Q4_K', 'Q5_K', 'Q6_K'];

function bytesByDefinition(format: keyof typeof definitions, values: Float32Array): number[] {
  const bytes: number[] = [];
  for (let i = 0; i < values.length; i += 32) bytes.push(...definitions[format](Array.from(values.slice(i, i + 32))));
  return bytes;
}

describe('the definition', () => {
  it.each(exactFormats)('%s of normal weights of many sizes, and of ties', (format) => {
    const random = createSeededRandom(1);
    for (const scale of [0.02, 1, 1000, 1e-4, 1e-6, 1e-9, 1e-30, 1e-35]) {
      const values = random.normals(320, scale);
      expect([...quantizeRow(format, values)]).toEqual(bytesByDefinition(format, values));
    }
    // Halves and quarters: sums that end exactly on a half, and several weights of largest magnitude with both signs.
    const ties = Float32Array.from({ length: 3200 }, () => (random.integer(33) - 16) / 4);
    expect([...quantizeRow(format, ties)]).toEqual(bytesByDefinition(format, ties));
  });
});

describe('by hand', () => {
  it('Q4_0: the first of the weights of largest magnitude gets code 0, whatever its sign', () => {
    const values = new Float32Array(32);
    values[3] = 8;
    values[20] = -8;
    values[4] = -1;
    const bytes = quantizeRow('Q4_0', values);
    expect([...bytes.subarray(0, 2)]).toEqual([0x00, 0xbc]); // d = 8 / −8 = −1
    expect(bytes[2 + 3]).toBe(0x80); // 8 → 0, weight 19 is zero → 8
    expect(bytes[2 + 4]).toBe(0xf9); // −1 → 9; weight 20, −8 / −1 + 8 = 16 → 15
  });

  it('Q4_1: the minimum is the smallest weight', () => {
    const values = Float32Array.from({ length: 32 }, (_, i) => 1 + (i % 16));
    expect([...quantizeRow('Q4_1', values).subarray(0, 6)]).toEqual([0x00, 0x3c, 0x00, 0x3c, 0x00, 0x11]);
  });

  it('Q8_0: halves go away from zero', () => {
    const values = new Float32Array(32);
    values.set([127, 0.5, -0.5, 1.5, -1.5]);
    expect([...quantizeRow('Q8_0', values).subarray(0, 7)]).toEqual([0x00, 0x3c, 127, 1, 255, 2, 254]);
  });

  it('Q4_K: weights that the format holds exactly come back exactly', () => {
    // d = 1/4 with scale 63 at most, dmin = 1/8: w = sc/4 · q − mn/8
    const values = Float32Array.from({ length: 256 }, (_, i) => {
      const group = i >> 5;
      return ((63 - group) / 4) * (i % 16) - (63 - 2 * group) / 8;
    });
    expect(dequantizeRow('Q4_K', quantizeRow('Q4_K', values), new Float32Array(256))).toEqual(values);
  });

  it('Q6_K: weights that the format holds exactly come back exactly', () => {
    // Every group has a weight with code −32, its largest; scale codes −128, −120, … −8 with d = 2^-10.
    const values = Float32Array.from({ length: 256 }, (_, i) => {
      const code = i % 16 === 0 ? -32 : ((i * 7) % 63) - 31;
      return 2 ** -10 * (-128 + 8 * (i >> 4)) * code;
    });
    const bytes = quantizeRow('Q6_K', values);
    expect([...bytes.subarray(208)]).toEqual([0x00, 0x14]); // float16 of 2^-10
    expect([...bytes.subarray(192, 194)]).toEqual([256 - 128, 256 - 120]);
    expect(dequantizeRow('Q6_K', bytes, new Float32Array(256))).toEqual(values);
  });
});

describe('rows recorded from llama.cpp', () => {
  const golden = loadGoldenRows();
  const row = (r: number) => golden.values.subarray(r * golden.columns, (r + 1) * golden.columns);
  const rowBytes = (format: WeightFormat, r: number) => {
    const bytes = golden.bytes.get(format)!;
    const size = bytes.length / golden.kinds.length;
    return bytes.subarray(r * size, (r + 1) * size);
  };
  const squaredError = (format: WeightFormat, values: Float32Array, bytes: Uint8Array) =>
    dequantizeRow(format, bytes, new Float32Array(values.length)).reduce((sum, w, i) => sum + (w - values[i]!) ** 2, 0);

  it.each(exactFormats)('%s: the same bytes', (format) => {
    for (const [r, kind] of golden.kinds.entries()) {
      expect([...quantizeRow(format, row(r))], kind).toEqual([...rowBytes(format, r)]);
    }
  });

  it.each(formats)('%s with search: less error than llama.cpp', (format) => {
    let ratios = 0;
    let rows = 0;
    for (const [r, kind] of golden.kinds.entries()) {
      const error = squaredError(format, row(r), quantizeRow(format, row(r), { search: true }));
      const recorded = squaredError(format, row(r), rowBytes(format, r));
      // Both are searches over a few trials, so in a single block of a K format either may be lucky.
      expect(error, kind).toBeLessThanOrEqual(recorded * (format.endsWith('K') ? 1.1 : 1));
      if (recorded === 0) continue;
      ratios += error / recorded;
      rows++;
    }
    expect(ratios / rows).toBeLessThan(0.98); // measured: 0.43 to 0.87
  });
});

describe('properties', () => {
  const finiteRow = fc
    .tuple(fc.integer(), fc.constantFrom(0.5, 1, 50), fc.constantFrom(256, 512))
    .map(([seed, scale, columns]) => createSeededRandom(seed).normals(columns, scale));

  it('every weight comes back within the largest step its block can have', () => {
    // Largest step of a block of range R: R/15, R/31, 2·max/16, … K formats round scale and minimum to 1/63 of their
    // largest in 256 weights besides, so their bound is looser: half a code, half a scale step over 15 or 31 codes, and
    // half a step of the minimum.
    const stepsPerLargest: Record<string, number> = {
      Q4_0: 1 / 8, // the side without a code for its end: off by a whole step
      Q4_1: 1 / 15,
      Q5_0: 1 / 16,
      Q5_1: 1 / 31,
      Q8_0: 0.5 / 127,
      Q4_K: 1 / 15 + 15 / 15 / 63 + 1 / 63,
      Q5_K: 1 / 31 + 31 / 31 / 63 + 1 / 63,
      Q6_K: 1 / 32 + 1 / 128,
    };
    fc.assert(
      fc.property(fc.constantFrom(...formats), finiteRow, (format, values) => {
        const layout = format.endsWith('K') ? 256 : 32;
        const back = dequantizeRow(
          format,
          quantizeRow(format, values, { search: false }),
          new Float32Array(values.length),
        );
        for (let first = 0; first < values.length; first += layout) {
          const block = values.subarray(first, first + layout);
          const largest = block.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
          // 2^-10: two roundings to float16.
          const bound = largest * (stepsPerLargest[format]! + 2 ** -10);
          for (let i = 0; i < layout; i++) expect(Math.abs(back[first + i]! - block[i]!)).toBeLessThanOrEqual(bound);
        }
      }),
      { seed: 5, numRuns: 80 },
    );
  });

  it('quantizing what was quantized changes nothing more, for symmetric formats', () => {
    fc.assert(
      fc.property(fc.constantFrom<WeightFormat>('Q4_0', 'Q5_0', 'Q8_0'), finiteRow, (format, values) => {
        const once = dequantizeRow(format, quantizeRow(format, values), new Float32Array(values.length));
        const twice = dequantizeRow(format, quantizeRow(format, once), new Float32Array(values.length));
        expect(twice).toEqual(once);
      }),
      { seed: 6, numRuns: 40 },
    );
  });

  it('blocks do not look at each other', () => {
    fc.assert(
      fc.property(fc.constantFrom(...formats), fc.boolean(), fc.integer(), (format, search, seed) => {
        const values = createSeededRandom(seed).normals(512);
        const whole = quantizeRow(format, values, { search });
        const second = quantizeRow(format, values.subarray(256), { search });
        expect(whole.subarray(whole.length / 2)).toEqual(second);
      }),
      { seed: 7, numRuns: 40 },
    );
  });

  it('on normal weights more bits mean less error: Q8_0 < Q6_K < Q5_K < Q4_K, and Q5 < Q4', () => {
    const values = createSeededRandom(8).normals(4096);
    const error = (format: WeightFormat) =>
      dequantizeRow(format, quantizeRow(format, values), new Float32Array(4096)).reduce(
        (sum, w, i) => sum + (w - values[i]!) ** 2,
        0,
      );
    for (const order of [
      ['Q8_0', 'Q6_K', 'Q5_K', 'Q4_K', 'Q4_0'],
      ['Q5_0', 'Q4_0'],
      ['Q5_1', 'Q4_1'],
      ['Q5_K', 'Q5_0'],
    ] as WeightFormat[][]) {
      for (let i = 1; i < order.length; i++) {
        expect(error(order[i - 1]!), order.join(' ')).toBeLessThan(error(order[i]!));
      }
    }
  });

  it('writes into a given array', () => {
    const values = createSeededRandom(9).normals(64);
    const out = new Uint8Array(36);
    expect(quantizeRow('Q4_0', values, { out })).toBe(out);
    expect(out).toEqual(quantizeRow('Q4_0', values));
  });
});

describe('rows at the edge', () => {
  it.each(formats)('%s: all zero, an empty row, equal weights', (format) => {
    const zeros = quantizeRow(format, new Float32Array(256));
    // d = 0 / −8 is −0, here as in llama.cpp, so zeros may come back as −0.
    expect(dequantizeRow(format, zeros, new Float32Array(256)).every((w) => w === 0)).toBe(true);
    expect(quantizeRow(format, new Float32Array(0)).length).toBe(0);
    for (const constant of [3, -3]) {
      for (const search of [false, true]) {
        const bytes = quantizeRow(format, new Float32Array(256).fill(constant), { search });
        const back = dequantizeRow(format, bytes, new Float32Array(256));
        // 3 · 2^-11 for a scale in float16, plus as much for a minimum; Q4_0 and its kin without search map the largest
        // weight exactly; six-bit scales of equal groups are all 63.
        for (const w of back) expect(Math.abs(w - constant)).toBeLessThanOrEqual(3 * 2 ** -10);
      }
    }
  });

  it.each(formats)('%s: one huge outlier leaves all weights finite, the outlier near its value', (format) => {
    const values = createSeededRandom(10).normals(256);
    values[77] = -6e4; // near the largest float16, in which Q4_1 and Q5_1 store their minimum
    for (const search of [false, true]) {
      const back = dequantizeRow(format, quantizeRow(format, values, { search }), new Float32Array(256));
      expect(back.every(Number.isFinite)).toBe(true);
      // Half a step of 15 codes over the range, at worst.
      expect(Math.abs(back[77]! + 6e4)).toBeLessThanOrEqual(6e4 / 16);
    }
  });

  it.each(formats)('%s: weights below every float16 scale become at most what they were', (format) => {
    for (const scale of [1e-8, 1e-12, 1e-40, 1e-45]) {
      const values = createSeededRandom(11).normals(256, scale);
      const largest = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      for (const search of [false, true]) {
        const back = dequantizeRow(format, quantizeRow(format, values, { search }), new Float32Array(256));
        // The smallest float16 step is 2^-24 = 6e-8: what is far below half of it, over all codes, becomes zero.
        for (const w of back) expect(Math.abs(w)).toBeLessThanOrEqual(scale < 1e-9 ? 0 : 2 * largest + 128 * 2 ** -24);
      }
    }
  });
});

describe('signs of nothing', () => {
  it('weights too small for any scale get the codes of zero', () => {
    const values = createSeededRandom(12).normals(32, 1e-42);
    expect([...quantizeRow('Q4_0', values).subarray(2)]).toEqual(new Array(16).fill(0x88));
    expect([...quantizeRow('Q8_0', values).subarray(2)]).toEqual(new Array(32).fill(0));
    expect([...quantizeRow('Q5_1', values).subarray(4)]).toEqual(new Array(20).fill(0));
  });

  it('the range of weights above zero begins at 0, which is stored as 0, not −0', () => {
    const values = createSeededRandom(13)
      .normals(256)
      .map((value) => 2 + Math.abs(value));
    for (const format of ['Q4_K', 'Q5_K'] as const) {
      expect([...quantizeRow(format, values, { search: false }).subarray(2, 4)]).toEqual([0, 0]);
    }
  });
});

describe('the float formats', () => {
  it('F32, F16 and BF16 hold what they can', () => {
    const values = Float32Array.of(1, -0.5, 1 / 3);
    expect(dequantizeRow('F32', quantizeRow('F32', values), new Float32Array(3))).toEqual(values);
    expect(dequantizeRow('F16', quantizeRow('F16', values), new Float32Array(3))[2]).toBe(
      float16ToFloat32(float32ToFloat16(1 / 3)),
    );
    expect(quantizeRow('BF16', values).subarray(0, 2)).toEqual(Uint8Array.of(0x80, 0x3f));
  });

  it('weights that F16 or BF16 would turn into infinities are errors', () => {
    expect(quantizeRow('F16', Float32Array.of(65519)).length).toBe(2);
    expect(() => quantizeRow('F16', Float32Array.of(0, -65520))).toThrow(
      'SCALE_OVERFLOW quantizeRow(values): expected weights that F16 can hold, got -65520 (key column 1)',
    );
    expect(() => quantizeRow('BF16', Float32Array.of(3.4e38))).toThrow(/^SCALE_OVERFLOW/);
    expect([...quantizeRow('BF16', Float32Array.of(3.39e38))]).toEqual([0x7f, 0x7f]);
  });
});

describe('errors', () => {
  it.each([...formats, 'F16', 'BF16', 'F32'] as WeightFormat[])('%s: NaN and infinities, with the column', (format) => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const values = new Float32Array(256);
      values[200] = bad;
      expect(() => quantizeRow(format, values)).toThrow(
        `WEIGHT_NOT_FINITE quantizeRow(values): expected finite numbers, got ${bad} (key column 200)`,
      );
    }
  });

  it.each(formats)('%s: a scale that float16 cannot hold', (format) => {
    const values = new Float32Array(256).fill(3e38);
    values[5] = -3e38;
    for (const search of [false, true]) {
      expect(() => quantizeRow(format, values, { search })).toThrow(/^SCALE_OVERFLOW quantizeRow\(values\)/);
    }
  });

  it('a row that is no whole number of blocks', () => {
    expect(() => quantizeRow('Q4_0', new Float32Array(33))).toThrow(
      'SHAPE quantizeRow(values): expected rows of a multiple of 32 weights for Q4_0, got 33',
    );
    expect(() => quantizeRow('Q6_K', new Float32Array(32))).toThrow(/a multiple of 256 weights for Q6_K/);
  });

  it('options and destinations that do not fit', () => {
    const values = new Float32Array(32);
    expect(() => quantizeRow('Q4_0', values, { out: new Uint8Array(17) })).toThrow(
      'SHAPE quantizeRow(options.out): expected 18 bytes for 32 weights of Q4_0, got 17',
    );
    const misspelt = { serach: true } as object;
    expect(() => quantizeRow('Q4_0', values, misspelt)).toThrow(/^OPTION_UNKNOWN quantizeRow\(serach\)/);
    expect(() => quantizeRow('Q4_0', values, { importance: new Float32Array(31) })).toThrow(
      'SHAPE quantizeRow(options.importance): expected 32 elements, one per column, got 31',
    );
    for (const bad of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => quantizeRow('Q4_0', values, { importance: new Float32Array(32).fill(bad) })).toThrow(
        /^ARGUMENT quantizeRow\(options.importance\): expected finite numbers from 0 up/,
      );
    }
    expect(() => quantizeRow('Q4_0', values, { importance: new Float32Array(32), search: false })).toThrow(
      /^ARGUMENT quantizeRow\(options.search\)/,
    );
    expect(() => quantizeRow('Q3_K' as WeightFormat, values)).toThrow(/^ARGUMENT quantizeRow\(format\)/);
  });
});
