import type { BlockSparsePattern, FloatTensor } from '@phiblocks/tensor';
import { describeWithShared, expectClose, loadGolden } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attentionByDefinition, randomTensor, sees } from '../test/sparse-definition.ts';
import { blockSparseAttention } from './block-sparse-attention.ts';
import { blockSparseCost } from './cost.ts';
import { createBlockSparseLayout } from './layout.ts';
import { createBlockSparsePattern } from './pattern.ts';

// Everything before the result is float64 on float32 inputs: what is left is the rounding of the result to float32, half a
// unit in the last place; where sums cancel to nearly nothing, the float64 sums differ by their order.
const oneRounding = { relative: 2 ** -23, absolute: 1e-12, reason: 'one rounding to float32' };

const small: BlockSparsePattern = { blockSize: 4, numLocalBlocks: 2, verticalStride: 3, headStep: 1 };

function inputs(seed: number, numQueries: number, numKeys: number, numHeads = 4, numKeyValueHeads = 2, headDim = 6) {
  return {
    queries: randomTensor(seed, numQueries, numHeads, headDim),
    keys: randomTensor(seed + 1, numKeys, numKeyValueHeads, headDim),
    values: randomTensor(seed + 2, numKeys, numKeyValueHeads, headDim),
    scale: 1 / headDim,
  };
}

/** Rows `start` to `end - 1` of the first axis. */
function rows({ data, shape }: FloatTensor, start: number, end: number): FloatTensor {
  const size = shape.slice(1).reduce((a, b) => a * b, 1);
  return { data: data.slice(start * size, end * size), shape: [end - start, ...shape.slice(1)] };
}

describe('blockSparseAttention', () => {
  // One query, partly filled blocks, block edges, prompts and decoding, all groupings of heads, odd head sizes.
  it.each([
    [1, 1, 1, 1, 1, small],
    [1, 60, 4, 2, 6, small],
    [47, 47, 6, 3, 5, small],
    [48, 48, 8, 2, 8, small],
    [7, 49, 3, 1, 4, small],
    [33, 40, 4, 4, 3, { ...small, headStep: 0 }],
    [90, 90, 5, 5, 2, { blockSize: 7, numLocalBlocks: 1, verticalStride: 4, headStep: 3 }],
    [20, 20, 2, 1, 4, { blockSize: 64, numLocalBlocks: 16, verticalStride: 8, headStep: 1 }],
    [30, 30, 2, 1, 4, { blockSize: 1, numLocalBlocks: 1, verticalStride: 9, headStep: 2 }],
  ] as const)('T %i, S %i, H %i, K %i, D %i, pattern %o: the definition', (T, S, H, K, D, pattern) => {
    const given = { ...inputs(10, T, S, H, K, D), pattern };
    const expected = attentionByDefinition({ ...given, queryStart: S - T });
    const fromPattern = blockSparseAttention(given);
    expect(fromPattern.shape).toEqual([T, H, D]);
    expectClose(fromPattern.data, expected, oneRounding);
    const { pattern: _, ...tensors } = given;
    // A layout may be longer than needed: built once for the longest length.
    const layout = createBlockSparseLayout(pattern, { numHeads: H, length: S + 100 });
    expect(blockSparseAttention({ ...tensors, layout }).data).toEqual(fromPattern.data);
  });

  it('by hand: equal scores, values 1, 2, 4, …; the result is the mean of what is seen', () => {
    const column = (data: number[]): FloatTensor => ({ data: Float32Array.from(data), shape: [data.length, 1, 1] });
    const pattern = { blockSize: 2, numLocalBlocks: 1, verticalStride: 2, headStep: 1 };
    const values = column([1, 2, 4, 8, 16, 32, 64, 128, 256]);
    const zeros = column(new Array(9).fill(0));
    const { data } = blockSparseAttention({ queries: zeros, keys: zeros, values, scale: 1, pattern });
    // Blocks are {0,1} {2,3} {4,5} {6,7} {8}; blocks 1 and 3 are vertical.
    expectClose(
      data,
      [1, 3 / 2, 4, 12 / 2, (12 + 16) / 3, (12 + 48) / 4, (12 + 64) / 3, (12 + 192) / 4, (12 + 192 + 256) / 5],
      oneRounding,
    );
  });

  it('up to numLocalBlocks blocks it is dense causal attention', () => {
    const given = { ...inputs(20, 12, 12), pattern: { ...small, numLocalBlocks: 3 } };
    const dense = { blockSize: 12, numLocalBlocks: 1, verticalStride: 1, headStep: 0 };
    expectClose(
      blockSparseAttention(given).data,
      attentionByDefinition({ ...given, pattern: dense, queryStart: 0 }),
      oneRounding,
    );
  });

  it('a prompt in one call, in chunks and token by token give the same bits', () => {
    const given = { ...inputs(30, 45, 45), pattern: small };
    const whole = blockSparseAttention(given);
    for (const chunk of [1, 5, 8, 44]) {
      for (let start = 0; start < 45; start += chunk) {
        const end = Math.min(45, start + chunk);
        const part = blockSparseAttention({
          ...given,
          queries: rows(given.queries, start, end),
          keys: rows(given.keys, 0, end),
          values: rows(given.values, 0, end),
        });
        expect(part.data).toEqual(rows(whole, start, end).data);
        // The same from a cache that already holds more.
        const fromCache = blockSparseAttention({
          ...given,
          queries: rows(given.queries, start, end),
          queryStart: start,
        });
        expect(fromCache.data).toEqual(part.data);
      }
    }
  });

  it('left padding shifts positions and is never seen, so a padded row gives the bits of the row alone', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 13 }), fc.integer({ min: 1, max: 30 }), (leftPadding, length) => {
        const alone = inputs(40, length, length);
        const pad = (tensor: FloatTensor): FloatTensor => {
          const size = tensor.data.length / length;
          const data = new Float32Array((length + leftPadding) * size).fill(Number.NaN);
          data.set(tensor.data, leftPadding * size);
          return { data, shape: [length + leftPadding, ...tensor.shape.slice(1)] };
        };
        const expected = blockSparseAttention({ ...alone, pattern: small });
        const padded = {
          queries: pad(alone.queries),
          keys: pad(alone.keys),
          values: pad(alone.values),
          scale: alone.scale,
          pattern: small,
          leftPadding,
        };
        const actual = blockSparseAttention(padded);
        expect(rows(actual, leftPadding, leftPadding + length).data).toEqual(expected.data);
        expect(rows(actual, 0, leftPadding).data.every((one) => one === 0)).toBe(true);
        // Decoding the last token of the padded row.
        const last = blockSparseAttention({ ...padded, queries: rows(alone.queries, length - 1, length) });
        expect(last.data).toEqual(rows(expected, length - 1, length).data);
      }),
      { seed: 5, numRuns: 40 },
    );
  });

  it('out may be the queries', () => {
    const given = { ...inputs(50, 21, 21), pattern: small };
    const expected = blockSparseAttention(given);
    expect(blockSparseAttention({ ...given, out: given.queries })).toBe(given.queries);
    expect(given.queries.data).toEqual(expected.data);
  });

  it('large scores do not overflow', () => {
    const given = { ...inputs(60, 30, 30), scale: 1e4, pattern: small };
    const { data } = blockSparseAttention(given);
    expect(data.every(Number.isFinite)).toBe(true);
  });

  describe('work', () => {
    /** Counts how often elements are read, from outside: nothing in the product reports it. */
    function counting(tensor: FloatTensor): { tensor: FloatTensor; reads: () => number } {
      let count = 0;
      const data = new Proxy(tensor.data, {
        get(target, key) {
          if (typeof key === 'string' && /^\d+$/.test(key)) count++;
          return Reflect.get(target, key);
        },
      });
      return { tensor: { data, shape: tensor.shape }, reads: () => count };
    }

    it.each([
      ['a prompt', 64, 0],
      ['a chunk', 64, 41],
      ['one decoded token', 64, 63],
    ])('%s reads exactly the keys and values of the blocks that the cost model counts', (_, length, queryStart) => {
      const [H, K, D] = [4, 2, 3];
      const given = inputs(70, length - queryStart, length, H, K, D);
      const keys = counting(given.keys);
      const values = counting(given.values);
      blockSparseAttention({ ...given, keys: keys.tensor, values: values.tensor, pattern: small });
      let pairs = 0;
      for (let h = 0; h < H; h++) {
        for (let i = queryStart; i < length; i++) for (let j = 0; j <= i; j++) pairs += sees(small, h, i, j) ? 1 : 0;
      }
      const cost = blockSparseCost(small, { numHeads: H, length, queryStart });
      expect(keys.reads()).toBe(pairs * D);
      expect(values.reads()).toBe(pairs * D);
      expect(cost.numQueryKeyPairs).toBe(pairs);
      expect(pairs).toBeLessThan(0.65 * cost.numDenseQueryKeyPairs);
    });

    it('never reads a key of a skipped block: NaN there changes nothing', () => {
      const given = { ...inputs(80, 1, 48, 1, 1, 4), pattern: small };
      const expected = blockSparseAttention(given);
      for (let j = 0; j < 48; j++) {
        if (sees(small, 0, 47, j)) continue;
        given.keys.data.fill(Number.NaN, j * 4, j * 4 + 4);
        given.values.data.fill(Number.NaN, j * 4, j * 4 + 4);
      }
      expect(given.keys.data.filter(Number.isNaN).length).toBeGreaterThan(60);
      expect(blockSparseAttention(given).data).toEqual(expected.data);
    });
  });

  describe('errors', () => {
    const given = { ...inputs(90, 4, 10), pattern: small };
    const { pattern: _, ...tensors } = given;
    const layout = createBlockSparseLayout(small, { numHeads: 4, length: 10 });

    it('heads that do not divide', () =>
      expect(() => blockSparseAttention({ ...inputs(90, 4, 10, 4, 3), pattern: small })).toThrow(
        'SHAPE blockSparseAttention(options.keys): expected a number of key/value heads that divides the 4 query heads, got 3',
      ));

    it('shapes that disagree', () => {
      const wrong: [string, object][] = [
        ['options.keys', { keys: randomTensor(1, 10, 2, 5) }],
        ['options.values', { values: randomTensor(1, 9, 2, 6) }],
        ['options.queries', { queries: randomTensor(1, 11, 4, 6) }],
        ['options.queries', { queries: randomTensor(1, 4, 24) }],
        ['options.out', { out: randomTensor(1, 4, 4, 5) }],
      ];
      for (const [argument, change] of wrong) {
        expect(() => blockSparseAttention({ ...given, ...change })).toThrow(
          `SHAPE blockSparseAttention(${argument}): `,
        );
      }
    });

    it('numbers out of range', () => {
      const wrong: [string, object][] = [
        ['options.queryStart', { queryStart: 7 }],
        ['options.queryStart', { queryStart: -1 }],
        ['options.leftPadding', { leftPadding: 11 }],
        ['options.leftPadding', { leftPadding: 0.5 }],
        ['options.scale', { scale: Number.NaN }],
        ['options.pattern', { layout }],
        ['options.pattern', { pattern: undefined }],
        ['options.pattern.blockSize', { pattern: { ...small, blockSize: 0 } }],
        ['options.out', { out: { data: given.keys.data.subarray(0, 96), shape: [4, 4, 6] } }],
      ];
      for (const [argument, change] of wrong) {
        expect(() => blockSparseAttention({ ...given, ...change })).toThrow(
          `ARGUMENT blockSparseAttention(${argument}): `,
        );
      }
    });

    it('unknown options', () =>
      expect(() => blockSparseAttention({ ...given, mask: true } as never)).toThrow(
        'OPTION_UNKNOWN blockSparseAttention(mask): expected one of queries, keys,',
      ));

    it('layouts that are too short, for other heads, or made wrongly by hand', () => {
      const attend = (change: object) => () => blockSparseAttention({ ...tensors, layout: { ...layout, ...change } });
      expect(attend({})).not.toThrow();
      expect(() =>
        blockSparseAttention({ ...tensors, layout: createBlockSparseLayout(small, { numHeads: 4, length: 8 }) }),
      ).toThrow('ARGUMENT blockSparseAttention(options.layout): expected a layout of at least 10 tokens, got 8');
      expect(attend({ numHeads: 5 })).toThrow(/^SHAPE blockSparseAttention\(options.layout\)/);
      const broken = /^ARGUMENT blockSparseAttention\(options.layout\): expected ascending key blocks up to \d+/;
      expect(attend({ keyBlocks: layout.keyBlocks.map((block) => block + 1) })).toThrow(broken);
      expect(attend({ keyBlocks: layout.keyBlocks.map((block) => -block) })).toThrow(broken);
      expect(attend({ keyBlocks: layout.keyBlocks.slice(0, 2) })).toThrow(broken);
      expect(attend({ listStarts: layout.listStarts.map(() => 0) })).toThrow(broken);
    });
  });
});

const models = ['phi3small-8k-a', 'phi3small-128k-a', 'phi3small-bf16-clamp-a', 'phi3small-homo-a'];
describe.each(models)('layer 0 of %s', (model) => {
  describeWithShared('against the published code', `goldens/${model}`, () => {
    const golden = loadGolden(model);
    const run = golden.tensors.has('main/layer0.q_rot') ? 'main' : 'short';
    const config = golden.config as Record<string, number>;
    const tensor = (name: string) => golden.tensor(`${run}/${name}`);

    /** `[heads, T, D]` as recorded, to `[T, heads, D]`. */
    function tokensFirst(name: string): FloatTensor {
      const { data, shape } = tensor(name);
      const [numHeads, numTokens, headDim] = shape as [number, number, number];
      const moved = new Float32Array(data.length);
      for (let h = 0; h < numHeads; h++) {
        for (let t = 0; t < numTokens; t++) {
          for (let d = 0; d < headDim; d++) {
            moved[(t * numHeads + h) * headDim + d] = data[(h * numTokens + t) * headDim + d]!;
          }
        }
      }
      return { data: moved, shape: [numTokens, numHeads, headDim] };
    }

    /** Values from the fused projection: the last part of each key/value group. */
    function valuesOf(numTokens: number, numKeyValueHeads: number, headDim: number, groupSize: number): FloatTensor {
      const fused = tensor('layer0.query_key_value').data;
      const data = new Float32Array(numTokens * numKeyValueHeads * headDim);
      for (let row = 0; row < numTokens * numKeyValueHeads; row++) {
        const start = (row * (groupSize + 2) + groupSize + 1) * headDim;
        data.set(fused.subarray(start, start + headDim) as Float32Array, row * headDim);
      }
      return { data, shape: [numTokens, numKeyValueHeads, headDim] };
    }

    it('attention output, every element, as a prompt and token by token', () => {
      const queries = tokensFirst('layer0.q_rot');
      const keys = tokensFirst('layer0.k_rot');
      const [numTokens, numHeads, headDim] = queries.shape as [number, number, number];
      const numKeyValueHeads = keys.shape[1]!;
      const values = valuesOf(numTokens, numKeyValueHeads, headDim, numHeads / numKeyValueHeads);
      const pattern = createBlockSparsePattern({
        blockSize: config.blocksparse_block_size!,
        numLocalBlocks: config.blocksparse_num_local_blocks!,
        verticalStride: config.blocksparse_vert_stride!,
        numHeads,
        homoHeadPattern: golden.config!.blocksparse_homo_head_pattern as boolean,
      });
      const given = { queries, keys, values, scale: golden.description.softmax_scale as number, pattern };
      const expected = tensor('layer0.attn_context');
      const close = { absolute: expected.tolerance, reason: 'the tolerance of the case' };
      expectClose(blockSparseAttention(given).data, expected.data, close);
      for (let t = 0; t < numTokens; t++) {
        const { data } = blockSparseAttention({ ...given, queries: rows(queries, t, t + 1), queryStart: t });
        expectClose(data, expected.data.subarray(t * numHeads * headDim, (t + 1) * numHeads * headDim), close);
      }
    });

    it('token mask: the definition used above agrees with the recorded one', () => {
      const { data, shape } = tensor('token_mask');
      const [numHeads, length] = shape as [number, number];
      const pattern = createBlockSparsePattern({
        blockSize: config.blocksparse_block_size!,
        numLocalBlocks: config.blocksparse_num_local_blocks!,
        verticalStride: config.blocksparse_vert_stride!,
        numHeads,
        homoHeadPattern: golden.config!.blocksparse_homo_head_pattern as boolean,
      });
      for (let h = 0; h < numHeads; h++) {
        for (let i = 0; i < length; i++) {
          for (let j = 0; j < length; j++) {
            if (sees(pattern, h, i, j) !== (data[(h * length + i) * length + j] === 1)) {
              expect.fail(`head ${h}, query ${i}, key ${j}`);
            }
          }
        }
      }
    });
  });
});
