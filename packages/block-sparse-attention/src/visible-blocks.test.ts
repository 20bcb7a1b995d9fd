import { describeWithShared, loadGolden } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sees } from '../test/sparse-definition.ts';
import { createBlockSparseLayout, layoutRow } from './layout.ts';
import { createBlockSparsePattern } from './pattern.ts';
import { numDistinctHeads, visibleBlocks } from './visible-blocks.ts';

const patterns = fc.record({
  blockSize: fc.integer({ min: 1, max: 5 }),
  numLocalBlocks: fc.integer({ min: 1, max: 6 }),
  verticalStride: fc.integer({ min: 1, max: 9 }),
  headStep: fc.integer({ min: 0, max: 12 }),
});

const published = createBlockSparsePattern({ blockSize: 64, numLocalBlocks: 16, verticalStride: 8, numHeads: 32 });
const local = Array.from({ length: 16 }, (_, i) => 25 + i);

describe('visibleBlocks', () => {
  it('is the definition, position by position', () => {
    fc.assert(
      fc.property(patterns, fc.nat(40), fc.nat(15), (pattern, queryBlock, head) => {
        const expected = Array.from({ length: queryBlock + 1 }, (_, block) => block).filter((block) =>
          // The last query of the block and the first key: causality inside the own block hides nothing.
          sees(pattern, head, (queryBlock + 1) * pattern.blockSize - 1, block * pattern.blockSize),
        );
        expect(Array.from(visibleBlocks(pattern, head, queryBlock))).toEqual(expected);
      }),
      { seed: 3 },
    );
  });

  it('the published pattern at query block 40', () => {
    expect(Array.from(visibleBlocks(published, 0, 40))).toEqual([7, 15, 23, ...local]);
    expect(Array.from(visibleBlocks(published, 1, 40))).toEqual([6, 14, 22, ...local]);
    expect(Array.from(visibleBlocks(published, 7, 40))).toEqual([0, 8, 16, 24, ...local]);
    expect(visibleBlocks(published, 8, 40)).toEqual(visibleBlocks(published, 0, 40));
  });

  it("the paper's figure: query block 8, 2 local blocks, stride 3", () => {
    const figure = createBlockSparsePattern({ blockSize: 64, numLocalBlocks: 2, verticalStride: 3, numHeads: 3 });
    expect(Array.from(visibleBlocks(figure, 0, 8))).toEqual([2, 5, 7, 8]);
    expect(Array.from(visibleBlocks(figure, 1, 8))).toEqual([1, 4, 7, 8]);
    expect(Array.from(visibleBlocks(figure, 2, 8))).toEqual([0, 3, 6, 7, 8]);
  });

  it('rejects patterns, heads and blocks that are none', () => {
    expect(() => visibleBlocks({ ...published, numLocalBlocks: 0 }, 0, 0)).toThrow(
      'ARGUMENT visibleBlocks(pattern.numLocalBlocks): expected a whole number from 1 to 2^31 - 1, got 0',
    );
    expect(() => visibleBlocks({ ...published, stride: 1 } as never, 0, 0)).toThrow(
      /^OPTION_UNKNOWN visibleBlocks\(stride\)/,
    );
    expect(() => visibleBlocks(null as never, 0, 0)).toThrow(/^ARGUMENT visibleBlocks\(pattern\)/);
    expect(() => visibleBlocks(published, -1, 0)).toThrow(/^ARGUMENT visibleBlocks\(head\)/);
    expect(() => visibleBlocks(published, 0, 0.5)).toThrow(/^ARGUMENT visibleBlocks\(queryBlock\)/);
  });
});

describe('createBlockSparsePattern', () => {
  it('moves by the stride over the heads, at least by one, or not at all', () => {
    const sizes = { blockSize: 8, numLocalBlocks: 1 };
    expect(createBlockSparsePattern({ ...sizes, verticalStride: 9, numHeads: 4 }).headStep).toBe(2);
    expect(createBlockSparsePattern({ ...sizes, verticalStride: 8, numHeads: 32 }).headStep).toBe(1);
    expect(createBlockSparsePattern({ ...sizes, verticalStride: 9, numHeads: 4, homoHeadPattern: true }).headStep).toBe(
      0,
    );
  });

  it('rejects what is no size', () => {
    const sizes = { blockSize: 8, numLocalBlocks: 1, verticalStride: 9, numHeads: 4 };
    for (const wrong of [0, -1, 0.5, Number.NaN, 2 ** 31, '8', undefined]) {
      for (const option of Object.keys(sizes)) {
        expect(() => createBlockSparsePattern({ ...sizes, [option]: wrong })).toThrow(
          `ARGUMENT createBlockSparsePattern(options.${option}): expected a whole number from 1 to 2^31 - 1`,
        );
      }
    }
    expect(() => createBlockSparsePattern({ ...sizes, homoHeadPattern: 1 as never })).toThrow(
      /^ARGUMENT createBlockSparsePattern\(options.homoHeadPattern\)/,
    );
    expect(() => createBlockSparsePattern({ ...sizes, local: 1 } as never)).toThrow(/^OPTION_UNKNOWN.*\(local\)/);
  });
});

describe('createBlockSparseLayout', () => {
  it('lists for every head and block what visibleBlocks gives', () => {
    fc.assert(
      fc.property(patterns, fc.integer({ min: 1, max: 9 }), fc.nat(120), (pattern, numHeads, length) => {
        const layout = createBlockSparseLayout(pattern, { numHeads, length });
        expect(layout.numBlocks).toBe(Math.ceil(length / pattern.blockSize));
        for (let head = 0; head < numHeads; head++) {
          for (let block = 0; block < layout.numBlocks; block++) {
            expect(layoutRow(layout, head, block)).toEqual(visibleBlocks(pattern, head, block));
          }
        }
      }),
      { seed: 4 },
    );
  });

  it('keeps lists only for heads that differ', () => {
    expect(createBlockSparseLayout(published, { numHeads: 32, length: 8192 }).numDistinctHeads).toBe(8);
    expect(numDistinctHeads({ ...published, headStep: 0 }, 32)).toBe(1);
    expect(numDistinctHeads({ ...published, headStep: 6 }, 32)).toBe(4);
    expect(numDistinctHeads(published, 5)).toBe(5);
  });

  it('at 128k tokens takes a hundredth of a block mask per head', () => {
    const layout = createBlockSparseLayout(published, { numHeads: 32, length: 131072 });
    // 8 heads, 2,048 query blocks, each about 16 local and 1/8 of the past; a mask of bytes would be 32 · 2048².
    expect(layout.keyBlocks.length).toBeLessThan((32 * 2048 ** 2) / 50);
  });

  it('rejects lengths and rows that are none', () => {
    expect(() => createBlockSparseLayout(published, { numHeads: 0, length: 5 })).toThrow(/^ARGUMENT.*options.numHeads/);
    expect(() => createBlockSparseLayout(published, { numHeads: 1, length: -5 })).toThrow(/^ARGUMENT.*options.length/);
    const dense = { blockSize: 1, numLocalBlocks: 2 ** 31 - 1, verticalStride: 1, headStep: 0 };
    expect(() => createBlockSparseLayout(dense, { numHeads: 1, length: 70000 })).toThrow(
      'ARGUMENT createBlockSparseLayout(options.length): expected a length whose lists hold at most 2^31 - 1 blocks',
    );
    const layout = createBlockSparseLayout(published, { numHeads: 2, length: 100 });
    expect(() => layoutRow(layout, 2, 0)).toThrow(
      'ARGUMENT layoutRow(head): expected a whole number from 0 to 1, got 2',
    );
    expect(() => layoutRow(layout, 0, 2)).toThrow(/^ARGUMENT layoutRow\(queryBlock\)/);
  });
});

describeWithShared('block masks of the published code', 'goldens/block-blocksparse-mask-a', () => {
  interface Run {
    name: string;
    heads: number;
    block_size: number;
    num_local_blocks: number;
    vert_stride: number;
    homo_head: boolean;
    length: number;
  }
  const golden = loadGolden('block-blocksparse-mask-a');
  const runs = golden.description.runs as unknown[] as Run[];

  it.each(runs.map((run) => run.name))('%s, element by element', (name) => {
    const run = runs.find((one) => one.name === name)!;
    const pattern = createBlockSparsePattern({
      blockSize: run.block_size,
      numLocalBlocks: run.num_local_blocks,
      verticalStride: run.vert_stride,
      numHeads: run.heads,
      homoHeadPattern: run.homo_head,
    });
    const layout = createBlockSparseLayout(pattern, { numHeads: run.heads, length: run.length });
    const bits = golden.tensors.get(`${name}/block_mask_bits`);
    const expected = bits ?? golden.tensor(`${name}/block_mask`);
    const [numHeads, numRows, width] = expected.shape as [number, number, number];
    const rows = bits ? golden.tensor(`${name}/rows`).data : Array.from({ length: numRows }, (_, row) => row);
    expect(numHeads).toBe(run.heads);
    const actual = new Uint8Array(expected.data.length);
    for (let head = 0; head < numHeads; head++) {
      for (let row = 0; row < numRows; row++) {
        const start = (head * numRows + row) * width;
        for (const block of layoutRow(layout, head, rows[row]!)) {
          if (bits) actual[start + (block >> 3)]! |= 0x80 >> (block & 7);
          else actual[start + block] = 1;
        }
      }
    }
    expect(Array.from(actual)).toEqual(Array.from(expected.data));
  });
});

const models = [
  'phi3small-8k-a',
  'phi3small-128k-a',
  'phi3small-bf16-clamp-a',
  'phi3small-homo-a',
  'phi3small-stride-a',
];
describe.each(models)('block mask of the model %s', (model) => {
  describeWithShared('in its configuration', `goldens/${model}`, () => {
    const golden = loadGolden(model);
    const run = golden.tensors.has('main/block_mask') ? 'main' : 'short';
    it('element by element', () => {
      const config = golden.config as Record<string, number>;
      const { data, shape } = golden.tensor(`${run}/block_mask`);
      const [numHeads, numBlocks] = shape as [number, number];
      const pattern = createBlockSparsePattern({
        blockSize: config.blocksparse_block_size!,
        numLocalBlocks: config.blocksparse_num_local_blocks!,
        verticalStride: config.blocksparse_vert_stride!,
        numHeads: config.num_attention_heads!,
        homoHeadPattern: golden.config!.blocksparse_homo_head_pattern as boolean,
      });
      const actual = new Uint8Array(data.length);
      for (let head = 0; head < numHeads; head++) {
        for (let query = 0; query < numBlocks; query++) {
          for (const key of visibleBlocks(pattern, head, query))
            actual[(head * numBlocks + query) * numBlocks + key] = 1;
        }
      }
      expect(Array.from(actual)).toEqual(Array.from(data));
    });
  });
});
