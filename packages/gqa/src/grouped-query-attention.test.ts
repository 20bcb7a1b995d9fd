import type { FloatTensor } from '@phiblocks/tensor';
import { describeWithShared, expectClose, type GoldenCase, loadGolden } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attentionByDefinition, randomTensor } from '../test/attention-definition.ts';
import { groupedQueryAttention } from './grouped-query-attention.ts';
import { createKvCache } from './kv-cache.ts';

// Everything before the result is float64 on float32 inputs, so what is left is the rounding of the result to float32, half
// a unit in the last place; where sums cancel to nearly nothing, the float64 sums differ by their order.
const oneRounding = { relative: 2 ** -23, absolute: 1e-12, reason: 'one rounding to float32' };

function inputs(seed: number, numQueries: number, numKeys: number, numHeads: number, numKeyValueHeads: number, D = 8) {
  return {
    queries: randomTensor(seed, numQueries, numHeads, D),
    keys: randomTensor(seed + 1, numKeys, numKeyValueHeads, D),
    values: randomTensor(seed + 2, numKeys, numKeyValueHeads, D),
    scale: 1 / Math.sqrt(D),
  };
}

const causal = (i: number, j: number) => j <= i;

describe('groupedQueryAttention', () => {
  // Around the tile of 64 keys and the groups of four inside it; odd head sizes.
  it.each([
    [1, 1, 1, 1, 1],
    [7, 7, 4, 4, 6],
    [5, 13, 6, 2, 7],
    [3, 63, 2, 1, 8],
    [3, 64, 2, 1, 8],
    [3, 65, 8, 2, 5],
    [2, 200, 4, 2, 16],
    [66, 130, 2, 2, 4],
  ])('T %i, S %i, H %i, K %i, D %i: the definition', (numQueries, numKeys, numHeads, numKeyValueHeads, D) => {
    const given = inputs(10, numQueries, numKeys, numHeads, numKeyValueHeads, D);
    const queryStart = numKeys - numQueries;
    const { outputs } = attentionByDefinition({ ...given, queryStart, sees: causal });
    const actual = groupedQueryAttention(given);
    expect(actual.shape).toEqual([numQueries, numHeads, D]);
    expectClose(actual.data, outputs, oneRounding);
  });

  it('by hand: the second query weighs its two keys 1 to 3, the first sees only its own', () => {
    const column = (...data: number[]): FloatTensor => ({ data: Float32Array.from(data), shape: [data.length, 1, 1] });
    const keys = column(0, 2);
    const values = column(4, 8);
    const scale = Math.log(3) / 2;
    const { data } = groupedQueryAttention({ queries: column(5, 1), keys, values, scale });
    expectClose(data, [4, 0.25 * 4 + 0.75 * 8], oneRounding);
  });

  it('query head h reads key/value head floor(h / (H / K))', () => {
    // Values that name their head; with one key each, the output is the value.
    const values = { data: Float32Array.of(10, 20, 30), shape: [1, 3, 1] };
    const keys = { data: Float32Array.of(1, 1, 1), shape: [1, 3, 1] };
    const { data } = groupedQueryAttention({ queries: randomTensor(1, 1, 6, 1), keys, values, scale: 1 });
    expect([...data]).toEqual([10, 10, 20, 20, 30, 30]);
  });

  it.each(['exclusive', 'inclusive'] as const)('sliding window, %s bound: the definition', (windowBound) => {
    for (const slidingWindow of [1, 2, 8, 64, 69, 70]) {
      const given = inputs(20, 70, 70, 4, 2);
      const lowest = (i: number) => (windowBound === 'exclusive' ? i - slidingWindow + 1 : i - slidingWindow);
      const sees = (i: number, j: number) => j <= i && j >= lowest(i);
      const { outputs } = attentionByDefinition({ ...given, queryStart: 0, sees });
      expectClose(groupedQueryAttention({ ...given, slidingWindow, windowBound }).data, outputs, oneRounding);
    }
  });

  it('the bound is exclusive by default: W keys', () => {
    const given = inputs(30, 20, 20, 2, 1);
    const byDefault = groupedQueryAttention({ ...given, slidingWindow: 5 });
    expect(byDefault).toEqual(groupedQueryAttention({ ...given, slidingWindow: 5, windowBound: 'exclusive' }));
    expect(byDefault).toEqual(groupedQueryAttention({ ...given, slidingWindow: 4, windowBound: 'inclusive' }));
  });

  it('a window of S or more is plainly causal, bit by bit', () => {
    const given = inputs(40, 70, 70, 4, 2);
    const plain = groupedQueryAttention(given);
    expect(groupedQueryAttention({ ...given, slidingWindow: 70 })).toEqual(plain);
    expect(groupedQueryAttention({ ...given, slidingWindow: 262144 })).toEqual(plain);
    expect(groupedQueryAttention({ ...given, slidingWindow: 69, windowBound: 'inclusive' })).toEqual(plain);
  });

  it('neither the future nor what lies outside the window is read', () => {
    const given = inputs(50, 2, 30, 2, 1);
    const expected = groupedQueryAttention({ ...given, queryStart: 20, slidingWindow: 4 });
    for (let j = 0; j < 30; j++) {
      if (j >= 17 && j <= 21) continue;
      given.keys.data.fill(Number.NaN, j * 8, (j + 1) * 8);
      given.values.data.fill(Number.NaN, j * 8, (j + 1) * 8);
    }
    expect(groupedQueryAttention({ ...given, queryStart: 20, slidingWindow: 4 })).toEqual(expected);
    expect(expected.data.every(Number.isFinite)).toBe(true);
  });

  it('one long call equals token by token with the cache, bit by bit', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 90 }),
        fc.constantFrom([4, 4], [4, 2], [6, 1]),
        fc.option(fc.integer({ min: 1, max: 100 }), { nil: undefined }),
        fc.integer({ min: 1, max: 9 }),
        fc.nat(1000),
        (length, [numHeads, numKeyValueHeads], slidingWindow, step, seed) => {
          const given = { ...inputs(seed, length, length, numHeads!, numKeyValueHeads!), slidingWindow };
          const whole = groupedQueryAttention(given).data;
          const cache = createKvCache({ numLayers: 1, numKeyValueHeads: numKeyValueHeads!, headDim: 8 });
          const rows = ({ data, shape }: FloatTensor, start: number, end: number): FloatTensor => {
            const rowLength = shape[1]! * shape[2]!;
            return {
              data: data.slice(start * rowLength, end * rowLength),
              shape: [end - start, shape[1]!, shape[2]!],
            };
          };
          for (let start = 0; start < length; start += step) {
            const end = Math.min(start + step, length);
            cache.append(0, rows(given.keys, start, end), rows(given.values, start, end));
            const part = groupedQueryAttention({
              queries: rows(given.queries, start, end),
              keys: cache.keys(0),
              values: cache.values(0),
              scale: given.scale,
              slidingWindow,
            });
            cache.commit(end - start);
            expect(part.data).toEqual(rows({ data: whole, shape: [length, numHeads!, 8] }, start, end).data);
          }
        },
      ),
      { seed: 6, numRuns: 40 },
    );
  });

  it('equal values come out whatever the scores', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 150 }), fc.double({ min: -50, max: 50, noNaN: true }), (S, scale) => {
        const given = { ...inputs(S, 1, S, 2, 1), scale };
        given.values.data.fill(1.5);
        // The weights sum to one up to S roundings in float64, far below float32.
        expect([...groupedQueryAttention(given).data]).toEqual(Array(16).fill(1.5));
      }),
      { seed: 7, numRuns: 50 },
    );
  });

  it('scores that would overflow exp are safe: the largest wins', () => {
    const S = 130;
    const keys = { data: Float32Array.from({ length: S }, (_, j) => j * 100), shape: [S, 1, 1] };
    const values = { data: Float32Array.from({ length: S }, (_, j) => j), shape: [S, 1, 1] };
    const one = { data: Float32Array.of(1), shape: [1, 1, 1] };
    expect(groupedQueryAttention({ queries: one, keys, values, scale: 1e6 }).data[0]).toBe(S - 1);
    expect(groupedQueryAttention({ queries: one, keys, values, scale: -1e6 }).data[0]).toBe(0);
  });

  it('NaN is not hidden', () => {
    for (const name of ['queries', 'keys', 'values'] as const) {
      const given = inputs(60, 1, 70, 1, 1);
      given[name].data.fill(Number.NaN, 0, 8);
      expect([...groupedQueryAttention(given).data].every(Number.isNaN)).toBe(true);
    }
  });

  it('writes to out, which may be the queries', () => {
    const given = inputs(70, 5, 9, 4, 2);
    const expected = groupedQueryAttention(given).data;
    const out = randomTensor(1, 5, 4, 8);
    expect(groupedQueryAttention({ ...given, out })).toBe(out);
    expect(out.data).toEqual(expected);
    expect(groupedQueryAttention({ ...given, out: given.queries })).toBe(given.queries);
    expect(given.queries.data).toEqual(expected);
  });

  it('no queries give no rows', () => {
    expect(groupedQueryAttention(inputs(80, 0, 5, 4, 2)).shape).toEqual([0, 4, 8]);
    expect(groupedQueryAttention(inputs(80, 0, 0, 4, 2)).shape).toEqual([0, 4, 8]);
  });

  it('rejects what does not fit, and says what', () => {
    const given = inputs(90, 2, 5, 4, 2);
    const rejected = (change: object, code: string, argument?: string) =>
      expect(() => groupedQueryAttention({ ...given, ...change }), argument).toThrow(
        expect.objectContaining({ code, function: 'groupedQueryAttention', ...(argument && { argument }) }),
      );
    rejected({ queries: randomTensor(1, 2, 32) }, 'SHAPE', 'options.queries');
    rejected({ queries: randomTensor(1, 6, 4, 8) }, 'SHAPE', 'options.queries');
    rejected({ queries: randomTensor(1, 2, 5, 8) }, 'SHAPE', 'options.keys');
    rejected({ keys: randomTensor(1, 5, 2, 7) }, 'SHAPE', 'options.keys');
    rejected({ keys: randomTensor(1, 5, 0, 8) }, 'SHAPE', 'options.keys');
    rejected({ values: randomTensor(1, 4, 2, 8) }, 'SHAPE', 'options.values');
    rejected({ out: randomTensor(1, 2, 2, 8) }, 'SHAPE', 'options.out');
    for (const queryStart of [-1, 4, 0.5, Number.NaN]) rejected({ queryStart }, 'ARGUMENT', 'options.queryStart');
    for (const scale of [Number.NaN, Number.POSITIVE_INFINITY, undefined, '1']) {
      rejected({ scale }, 'ARGUMENT', 'options.scale');
    }
    for (const slidingWindow of [0, -3, 2.5, null]) rejected({ slidingWindow }, 'ARGUMENT', 'options.slidingWindow');
    rejected({ windowBound: 'closed' }, 'ARGUMENT', 'options.windowBound');
    rejected({ window: 3 }, 'OPTION_UNKNOWN', 'window');
    expect(() => groupedQueryAttention({ ...given, queries: randomTensor(1, 2, 5, 8) })).toThrow(
      'SHAPE groupedQueryAttention(options.keys): expected a number of key/value heads that divides the 5 query heads, got 2',
    );
  });

  it('rejects an out that shares memory with keys or values, or overlaps the queries further on', () => {
    const memory = new Float32Array(200);
    const queries = { data: memory.subarray(0, 64), shape: [2, 4, 8] };
    const given = { ...inputs(90, 2, 5, 4, 2), queries };
    const overlapping = { data: memory.subarray(8, 72), shape: [2, 4, 8] };
    const keys = { data: memory.subarray(70, 150), shape: [5, 2, 8] };
    const code = expect.objectContaining({ code: 'ARGUMENT', argument: 'options.out' });
    expect(() => groupedQueryAttention({ ...given, out: overlapping })).toThrow(code);
    expect(() => groupedQueryAttention({ ...given, keys, out: overlapping })).toThrow(code);
    const other = inputs(90, 2, 5, 4, 2);
    expect(() => groupedQueryAttention({ ...other, keys, out: overlapping })).toThrow(code);
    expect(() => groupedQueryAttention({ ...other, values: keys, out: overlapping })).toThrow(code);
    const apart = { data: memory.subarray(136), shape: [2, 4, 8] };
    expect(groupedQueryAttention({ ...other, queries, out: apart })).toBe(apart);
  });
});

const goldenCases: [name: string, run: string][] = [
  ['phi3-mha-a', 'main'],
  ['phi3-gqa4-a', 'main'],
  ['phi3-bf16-a', 'main'],
  ['phi3-window-a', 'main'],
  ['phi3-longrope-a', 'short'],
  ['phi3-su-gqa-a', 'crossing'],
  ['phi3-partial-tied-a', 'short'],
];

/** Layer 0 of a case: rotated queries and keys, values from the fused projection, and what attention makes of them. */
function layerOf(golden: GoldenCase, run: string) {
  const config = golden.config as Record<string, number>;
  const numHeads = config.num_attention_heads!;
  const numKeyValueHeads = config.num_key_value_heads!;
  const headDim = config.hidden_size! / numHeads;
  const tokenMajor = (name: string): FloatTensor => {
    const { data, shape } = golden.tensor(`${run}/layer0.${name}`);
    const [heads, T] = shape as [number, number];
    const out = new Float32Array(data.length);
    for (let h = 0; h < heads; h++) {
      for (let t = 0; t < T; t++) {
        const from = (h * T + t) * headDim;
        out.set((data as Float32Array).subarray(from, from + headDim), (t * heads + h) * headDim);
      }
    }
    return { data: out, shape: [T, heads, headDim] };
  };
  const queries = tokenMajor('q_rot');
  const projection = golden.tensor(`${run}/layer0.qkv_proj`).data as Float32Array;
  const T = queries.shape[0]!;
  const width = (numHeads + 2 * numKeyValueHeads) * headDim;
  const values = new Float32Array(T * numKeyValueHeads * headDim);
  for (let t = 0; t < T; t++) {
    const row = projection.subarray(t * width + (numHeads + numKeyValueHeads) * headDim, (t + 1) * width);
    values.set(row, t * numKeyValueHeads * headDim);
  }
  return {
    given: {
      queries,
      keys: tokenMajor('k_rot'),
      values: { data: values, shape: [T, numKeyValueHeads, headDim] },
      scale: 1 / Math.sqrt(headDim),
      slidingWindow: config.sliding_window,
    },
    expected: golden.tensor(`${run}/layer0.attn_context`),
  };
}

describeWithShared('attention of layer 0', 'goldens', () => {
  it.each(goldenCases)('%s/%s, element by element', (name, run) => {
    const { given, expected } = layerOf(loadGolden(name), run);
    const { data } = groupedQueryAttention(given);
    expectClose(data, expected.data, { absolute: expected.tolerance, reason: 'stated by the case' });
  });

  it('the window case notices a bound that is off by one, either way', () => {
    const { given, expected } = layerOf(loadGolden('phi3-window-a'), 'main');
    for (const slidingWindow of [given.slidingWindow! - 1, given.slidingWindow! + 1]) {
      const { data } = groupedQueryAttention({ ...given, slidingWindow });
      const worst = data.reduce((most, x, i) => Math.max(most, Math.abs(x - expected.data[i]!)), 0);
      expect(worst).toBeGreaterThan(100 * expected.tolerance);
    }
  });
});
