import type { AttentionOptions, FloatTensor } from '@phiblocks/tensor';
import { createSeededRandom } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { createWasmBackend, type WasmBackendOptions } from '../src/index.ts';
import { createTestWorker as createWorker } from './test-worker.ts';

// What is this package's own in attention: its exponential, its ways to hold keys and values, its threads. The operation itself is
// checked against its definition in conformance.test.ts.

const unit = 2 ** -24;

interface Case {
  readonly queries: FloatTensor;
  readonly keys: FloatTensor;
  readonly values: FloatTensor;
  readonly keyHeads: number;
  readonly options: AttentionOptions;
}

async function attend(backendOptions: WasmBackendOptions, { queries, keys, values, keyHeads, options }: Case) {
  const backend = await createWasmBackend({ threads: 1, createWorker, ...backendOptions });
  const headDim = keys.shape[1]! / keyHeads;
  const cache = backend.createCache({ numLayers: 1, numKeyValueHeads: keyHeads, headDim });
  const step = backend.beginStep();
  step.appendToCache(cache, 0, step.upload(keys), step.upload(values));
  const result = await backend.read(step.attention(step.upload(queries), cache, 0, options));
  await backend.dispose();
  return result.data;
}

function columns(width: number, numbers: readonly (readonly number[])[]): FloatTensor {
  return { data: Float32Array.from(numbers.flat()), shape: [numbers.length, width] };
}

/** One head, one query that sees all, in float64. */
function define(query: readonly number[], keys: FloatTensor, values: FloatTensor, scale: number): number[] {
  const width = query.length;
  const rows = Array.from({ length: keys.shape[0]! }, (_, row) => row * width);
  const scores = rows.map((at) => scale * query.reduce((sum, q, i) => sum + q * keys.data[at + i]!, 0));
  const largest = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - largest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return query.map((_, i) => rows.reduce((sum, at, row) => sum + weights[row]! * values.data[at + i]!, 0) / total);
}

const flavours = [
  { simd: 'relaxed', kvCache: 'f32' },
  { simd: 'relaxed', kvCache: 'f16' },
  { simd: 'relaxed', kvCache: 'q8' },
  { simd: 'simd', kvCache: 'f32' },
  { simd: 'simd', kvCache: 'f16' },
  { simd: 'simd', kvCache: 'q8' },
] as const;

describe.each(flavours)('attention, $simd, cache in $kvCache', (flavour) => {
  it.each([
    { name: 'one token of a long past', tokens: 1, positions: 700, heads: 6, keyHeads: 3, headDim: 96 },
    { name: 'a group of four heads', tokens: 1, positions: 300, heads: 8, keyHeads: 2, headDim: 128 },
    { name: 'a prompt behind a past', tokens: 21, positions: 290, heads: 4, keyHeads: 2, headDim: 40 },
    { name: 'odd heads in a window', tokens: 5, positions: 130, heads: 3, keyHeads: 1, headDim: 27, slidingWindow: 65 },
  ])('has the same bits with 1, 2 and 3 threads: $name', async (one) => {
    const random = createSeededRandom(31);
    const normals = (rows: number, width: number) => ({ data: random.normals(rows * width), shape: [rows, width] });
    const { tokens, positions, heads, keyHeads, headDim, slidingWindow } = { slidingWindow: undefined, ...one };
    const given: Case = {
      queries: normals(tokens, heads * headDim),
      keys: normals(positions, keyHeads * headDim),
      values: normals(positions, keyHeads * headDim),
      keyHeads,
      options: { scale: headDim ** -0.5, slidingWindow },
    };
    const results = [];
    for (const threads of [1, 2, 3]) results.push(await attend({ ...flavour, threads }, given));
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });

  it('weighs two positions as the exponential says', async () => {
    // Scores 0 and -x against values 0 and 1 give 1 / (1 + e^x).
    for (let x = 0; x < 80; x += 1.37) {
      const keys = columns(2, [
        [0, 0],
        [-1, 0],
      ]);
      const values = columns(2, [
        [0, 0],
        [1, 0],
      ]);
      const given = { queries: columns(2, [[x, 0]]), keys, values, keyHeads: 1, options: { scale: 1 } };
      const [got] = await attend(flavour, given);
      const exact = 1 / (1 + Math.exp(Math.fround(x)));
      // The score is rounded twice, and its error comes back as one of e^x; the exponential errs by 1.5 units, sum and quotient by
      // one each. int8 rounds the score's query and weights to 15 bits, and a key of one scale once more.
      const allowed = flavour.kvCache === 'q8' ? 2 ** -15 * (2 + x) : unit * (4 + 3 * x);
      // Below the smallest normal number there is no relative error to speak of.
      expect(Math.abs(got! - exact), `x = ${x}`).toBeLessThanOrEqual(allowed * exact + 2 ** -126);
    }
  });

  it('stays finite and right where every number is as large as it can be', async () => {
    // 256 components of the same sign: nothing that is added in whole numbers may overflow.
    const headDim = 256;
    const rows = Array.from({ length: 300 }, (_, row) => new Array<number>(headDim).fill(row % 2 ? 1000 : 500));
    const [keys, values] = [columns(headDim, rows), columns(headDim, rows)];
    const query = new Array<number>(headDim).fill(100);
    const options = { scale: 1e-7 };
    const got = await attend(flavour, { queries: columns(headDim, [query]), keys, values, keyHeads: 1, options });
    const expected = define(query, keys, values, options.scale);
    // Halves hold these numbers; int8 holds the largest of every head exactly but for the roundings of its scale and of 15 bits.
    const allowed = flavour.kvCache === 'q8' ? 2 ** -12 : 100 * unit;
    for (const [i, value] of expected.entries()) {
      expect(Math.abs(got[i]! - value), `component ${i}`).toBeLessThanOrEqual(allowed * 1000);
    }
  });
});

describe.each(['relaxed', 'simd'] as const)('a float16 cache, %s', (simd) => {
  it('holds subnormal and largest numbers without error', async () => {
    const halves = [0, 2 ** -24, -3 * 2 ** -24, 1023 * 2 ** -24, 2 ** -14, -(2 ** -14), 1, -1.5, 65504, -65504];
    const rows = Array.from({ length: 70 }, (_, row) => halves.map((_, i) => halves[(row * 7 + i) % halves.length]!));
    const [keys, values] = [columns(10, rows), columns(10, rows)];
    for (const size of [1e-6, 1, 1e6]) {
      const query = halves.map((_, i) => size * ((i % 3) - 1));
      const options = { scale: 1e-5 / size };
      const given = { queries: columns(10, [query]), keys, values, keyHeads: 1, options };
      const expected = define([...given.queries.data], keys, values, options.scale);
      for (const kvCache of ['f16', 'f32'] as const) {
        const got = await attend({ simd, kvCache }, given);
        for (const [i, value] of expected.entries()) {
          // Scores up to 2 of numbers up to 65504: some roundings of 3, as weights; values of 65504 summed 70 times.
          expect(Math.abs(got[i]! - value), `${kvCache} ${size} ${i}`).toBeLessThanOrEqual(40 * unit * 65504);
        }
      }
    }
  });

  it('weighs subnormal numbers as finely as others', async () => {
    const keys = columns(8, [new Array(8).fill(0), new Array(8).fill(0)]);
    const values = columns(8, [new Array(8).fill(2 ** -24), new Array(8).fill(3 * 2 ** -24)]);
    const given = { queries: columns(8, [new Array(8).fill(1)]), keys, values, keyHeads: 1, options: { scale: 1 } };
    const got = await attend({ simd, kvCache: 'f16' }, given);
    expect([...got]).toEqual(new Array(8).fill(2 * 2 ** -24));
  });

  it('makes what is too large the largest', async () => {
    const keys = columns(8, [new Array(8).fill(0)]);
    const values = columns(8, [
      [65519, 65520, 1e30, Number.POSITIVE_INFINITY, -1e30, Number.NEGATIVE_INFINITY, 1, 2049],
    ]);
    const given = { queries: columns(8, [new Array(8).fill(1)]), keys, values, keyHeads: 1, options: { scale: 1 } };
    const got = await attend({ simd, kvCache: 'f16' }, given);
    // 2049 lies between two halves, of which the even one is taken.
    expect([...got]).toEqual([65504, 65504, 65504, 65504, -65504, -65504, 1, 2048]);
  });
});
