import type { FloatTensor } from '@phiblocks/tensor';
import { createSeededRandom, describeWithShared, expectClose, loadGolden } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rotaryConfigOf, runsOf } from '../test/golden-config.ts';
import { applyRotary } from './apply-rotary.ts';
import type { RotaryConfig } from './config.ts';
import { createRotaryTable } from './rotary-table.ts';

const config: RotaryConfig = { headDim: 8, ropeTheta: 10000, maxPositionEmbeddings: 4096 };
const partial: RotaryConfig = { ...config, partialRotaryFactor: 0.75 };

function randomHeads(seed: number, ...shape: number[]): FloatTensor {
  return { data: createSeededRandom(seed).normals(shape.reduce((a, b) => a * b, 1)), shape };
}

// RoPE as the paper has it: every pair is a complex number times exp(i · position · frequency).
function definition(x: FloatTensor, start: number, dimension: number): number[] {
  const [numTokens, numHeads, headDim] = x.shape as [number, number, number];
  const out = [...x.data];
  for (let t = 0; t < numTokens; t++) {
    for (let h = 0; h < numHeads; h++) {
      for (let i = 0; i < dimension / 2; i++) {
        const at = (t * numHeads + h) * headDim + i;
        const angle = (start + t) * 10000 ** ((-2 * i) / dimension);
        const [re, im] = [x.data[at]!, x.data[at + dimension / 2]!];
        out[at] = re * Math.cos(angle) - im * Math.sin(angle);
        out[at + dimension / 2] = im * Math.cos(angle) + re * Math.sin(angle);
      }
    }
  }
  return out;
}

// Angles stay below 32, where a float32 is off by at most 2^-20, plus the rounding of a frequency (17 · 2^-24 relative,
// see inverse-frequencies.test.ts); components are below 5.
const float32Angle = { absolute: 5 * 32 * 18 * 2 ** -24, reason: 'float32 angles below 32' };

describe('applyRotary', () => {
  it('is the definition', () => {
    const heads = randomHeads(1, 12, 3, 8);
    const rotated = applyRotary(heads, createRotaryTable(config, { start: 20, length: 12 }));
    expect(rotated.shape).toEqual([12, 3, 8]);
    expectClose(rotated.data, definition(heads, 20, 8), float32Angle);
  });

  it('by hand: a quarter turn pairs component i with i + R/2', () => {
    const quarter = (value: number) => ({ data: Float32Array.of(value, value), shape: [1, 2] });
    const heads = { data: Float32Array.of(1, 2, 3, 4, 5), shape: [1, 1, 5] };
    const rotated = applyRotary(heads, { cos: quarter(0), sin: quarter(1) });
    expect([...rotated.data]).toEqual([-3, -4, 1, 2, 5]);
  });

  it('components past the rotary dimension pass through, the others turn over R and not over D', () => {
    const heads = randomHeads(2, 12, 3, 8);
    const rotated = applyRotary(heads, createRotaryTable(partial, { start: 20, length: 12 }));
    expectClose(rotated.data, definition(heads, 20, 6), float32Angle);
    for (let head = 0; head < 36; head++) {
      expect(rotated.data.slice(8 * head + 6, 8 * head + 8)).toEqual(heads.data.slice(8 * head + 6, 8 * head + 8));
    }
  });

  it('keeps the norm of every pair, and multiplies it by the attention factor', () => {
    const ropeScaling = { type: 'su', shortFactor: [1, 1, 1, 1], longFactor: [1, 2, 4, 8] } as const;
    const scaled = { ...config, maxPositionEmbeddings: 131072, originalMaxPositionEmbeddings: 4096, ropeScaling };
    fc.assert(
      fc.property(fc.nat(100000), fc.nat(1000), (start, seed) => {
        const heads = randomHeads(seed, 2, 2, 8);
        for (const [table, factor] of [
          [createRotaryTable(config, { start, length: 2 }), 1],
          [createRotaryTable(scaled, { start, length: 2, list: 'long' }), Math.sqrt(17 / 12)],
        ] as const) {
          const rotated = applyRotary(heads, table);
          const norms = (x: Float32Array) =>
            Array.from({ length: 16 }, (_, pair) => {
              const at = Math.floor(pair / 4) * 8 + (pair % 4);
              return Math.hypot(x[at]!, x[at + 4]!);
            });
          const expected = norms(heads.data).map((norm) => norm * factor);
          const reason = 'cosine, sine and the result are rounded to float32';
          expectClose(norms(rotated.data), expected, { relative: 4 * 2 ** -24, absolute: 1e-12, reason });
        }
      }),
      { seed: 4, numRuns: 50 },
    );
  });

  it('query · key depends on the distance only', () => {
    fc.assert(
      fc.property(fc.nat(500), fc.nat(100), fc.nat(500), fc.nat(1000), (position, distance, shift, seed) => {
        const [query, key] = [randomHeads(seed, 1, 1, 8), randomHeads(seed + 1, 1, 1, 8)];
        const at = (x: FloatTensor, p: number) =>
          applyRotary(x, createRotaryTable(config, { start: p, length: 1 })).data;
        const product = (p: number) => {
          const [q, k] = [at(query, p + distance), at(key, p)];
          return q.reduce((sum, x, i) => sum + x * k[i]!, 0);
        };
        // Angles below 1100 are off by up to 2^-14 each; the vectors' norms are below 6.
        const tolerance = { absolute: 2 * 2 ** -14 * 36, reason: 'float32 angles below 1100' };
        expectClose([product(position + shift)], [product(position)], tolerance);
      }),
      { seed: 5, numRuns: 100 },
    );
  });

  it('with out, into heads itself and into apart memory of one buffer: the same numbers', () => {
    const table = createRotaryTable(partial, { start: 7, length: 5 });
    const heads = randomHeads(3, 5, 2, 8);
    const expected = applyRotary(heads, table).data;

    const out = { data: new Float32Array(80).fill(9), shape: [5, 2, 8] };
    expect(applyRotary(heads, table, out)).toBe(out);
    expect(out.data).toEqual(expected);

    const shared = new Float32Array(160);
    shared.set(heads.data, 80);
    const apart = { data: shared.subarray(0, 80), shape: [5, 2, 8] };
    applyRotary({ data: shared.subarray(80), shape: [5, 2, 8] }, table, apart);
    expect(apart.data).toEqual(expected);

    expect(applyRotary(heads, table, heads)).toBe(heads);
    expect(heads.data).toEqual(expected);
  });

  it('keys kept unrotated and rotated on reading (rerotate) are the keys of one pass with that list, bit by bit', () => {
    const table = createRotaryTable(config, { start: 0, length: 40 });
    const keys = randomHeads(6, 40, 2, 8);
    const whole = applyRotary(keys, table);
    for (let t = 0; t < 40; t++) {
      const one = { data: keys.data.slice(16 * t, 16 * t + 16), shape: [1, 2, 8] };
      const rotated = applyRotary(one, createRotaryTable(config, { start: t, length: 1 }));
      expect(rotated.data).toEqual(whole.data.slice(16 * t, 16 * t + 16));
    }
  });

  it('rejects shapes that disagree, and an out that overlaps', () => {
    const table = createRotaryTable(config, { start: 0, length: 4 });
    expect(() => applyRotary(randomHeads(1, 3, 2, 8), table)).toThrow(
      'SHAPE applyRotary(table.cos): expected shape [3, any], got [4, 4]',
    );
    expect(() => applyRotary(randomHeads(1, 4, 2, 6), table)).toThrow(
      'SHAPE applyRotary(table): expected at most 3 angles per position for heads of 6, got 4',
    );
    const code = (argument: string) => expect.objectContaining({ code: 'SHAPE', argument });
    expect(() => applyRotary(randomHeads(1, 4, 16), table)).toThrow(code('heads'));
    expect(() => applyRotary(randomHeads(1, 4, 2, 8), table, randomHeads(1, 4, 1, 8))).toThrow(code('out'));
    const sin = createRotaryTable(partial, { start: 0, length: 4 }).sin;
    expect(() => applyRotary(randomHeads(1, 4, 2, 8), { cos: table.cos, sin })).toThrow(code('table.sin'));

    const memory = new Float32Array(72);
    const heads = { data: memory.subarray(0, 64), shape: [4, 2, 8] };
    const shifted = { data: memory.subarray(8), shape: [4, 2, 8] };
    expect(() => applyRotary(heads, table, shifted)).toThrow(
      expect.objectContaining({ code: 'ARGUMENT', argument: 'out' }),
    );
  });
});

/** Rows of a fused projection: head by head as `columns` says, as `[T, heads, D]`. */
function headsOf(projection: Float32Array, width: number, columns: number[], headDim: number): FloatTensor {
  const numTokens = projection.length / width;
  const data = new Float32Array(numTokens * columns.length * headDim);
  for (let t = 0; t < numTokens; t++) {
    for (const [h, column] of columns.entries()) {
      const from = t * width + column;
      data.set(projection.subarray(from, from + headDim), (t * columns.length + h) * headDim);
    }
  }
  return { data, shape: [numTokens, columns.length, headDim] };
}

/** `[T, heads, D]` as the reference stores it: `[heads, T, D]`. */
function headMajor({ data, shape }: FloatTensor): Float32Array {
  const [numTokens, numHeads, headDim] = shape as [number, number, number];
  const out = new Float32Array(data.length);
  for (let t = 0; t < numTokens; t++) {
    for (let h = 0; h < numHeads; h++) {
      const from = (t * numHeads + h) * headDim;
      out.set(data.subarray(from, from + headDim), (h * numTokens + t) * headDim);
    }
  }
  return out;
}

describeWithShared('rotated queries and keys of layer 0', 'goldens', () => {
  for (const name of [
    'phi3-bf16-a',
    'phi3-gqa4-a',
    'phi3-longrope-a',
    'phi3-mha-a',
    'phi3-partial-tied-a',
    'phi3-su-gqa-a',
    'phi3-window-a',
    'phi3small-128k-a',
    'phi3small-8k-a',
    'phi3small-bf16-clamp-a',
    'phi3small-homo-a',
  ]) {
    it(name, () => {
      const golden = loadGolden(name);
      const rotary = rotaryConfigOf(golden.config!);
      const { headDim } = rotary;
      const numHeads = golden.config!.num_attention_heads as number;
      const numKeyValueHeads = golden.config!.num_key_value_heads as number;
      const width = (numHeads + 2 * numKeyValueHeads) * headDim;
      const run =
        runsOf(golden)[name === 'phi3-su-gqa-a' ? runsOf(golden).findIndex((r) => r.name === 'crossing') : 0]!;
      const small = name.startsWith('phi3small');
      const projection = golden.tensor(`${run.name}/layer0.${small ? 'query_key_value' : 'qkv_proj'}`)
        .data as Float32Array;
      // phi3: all queries, then all keys. phi3small: per key/value head its queries, then its key, then its value.
      const groupSize = numHeads / numKeyValueHeads;
      const queryColumns = Array.from({ length: numHeads }, (_, h) =>
        small ? (h + 2 * Math.floor(h / groupSize)) * headDim : h * headDim,
      );
      const keyColumns = Array.from({ length: numKeyValueHeads }, (_, k) =>
        small ? ((k + 1) * (groupSize + 2) - 2) * headDim : (numHeads + k) * headDim,
      );
      const table = createRotaryTable(rotary, { start: 0, length: run.length, list: run.list });
      for (const [tensor, columns] of [
        ['q_rot', queryColumns],
        ['k_rot', keyColumns],
      ] as const) {
        const expected = golden.tensor(`${run.name}/layer0.${tensor}`);
        const heads = headsOf(projection, width, columns, headDim);
        applyRotary(heads, table, heads);
        const tolerance = { absolute: expected.tolerance, reason: 'stated by the case' };
        expectClose(headMajor(heads), expected.data, tolerance, expected.name);
      }
    });
  }
});
