import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sees } from '../test/sparse-definition.ts';
import { blockSparseCost } from './cost.ts';
import { createBlockSparsePattern } from './pattern.ts';

const published = createBlockSparsePattern({ blockSize: 64, numLocalBlocks: 16, verticalStride: 8, numHeads: 32 });

describe('blockSparseCost', () => {
  it('counts what the definition sees', () => {
    const patterns = fc.record({
      blockSize: fc.integer({ min: 1, max: 5 }),
      numLocalBlocks: fc.integer({ min: 1, max: 4 }),
      verticalStride: fc.integer({ min: 1, max: 6 }),
      headStep: fc.integer({ min: 0, max: 7 }),
    });
    const lengths = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.nat(39)).filter(([length, start]) => start < length);
    fc.assert(
      fc.property(patterns, fc.integer({ min: 1, max: 7 }), lengths, (pattern, numHeads, [length, queryStart]) => {
        let pairs = 0;
        const blocks = new Set<string>();
        for (let h = 0; h < numHeads; h++) {
          for (let i = queryStart; i < length; i++) {
            for (let j = 0; j <= i; j++) {
              if (!sees(pattern, h, i, j)) continue;
              pairs++;
              blocks.add(`${h} ${Math.floor(i / pattern.blockSize)} ${Math.floor(j / pattern.blockSize)}`);
            }
          }
        }
        const cost = blockSparseCost(pattern, { numHeads, length, queryStart });
        expect(cost.numQueryKeyPairs).toBe(pairs);
        expect(cost.numBlocks).toBe(blocks.size);
        expect(cost.numDenseQueryKeyPairs).toBe(
          (numHeads * (length * (length + 1) - queryStart * (queryStart + 1))) / 2,
        );
        expect(cost.shareOfDense).toBe(pairs / cost.numDenseQueryKeyPairs);
      }),
      { seed: 6 },
    );
  });

  it('the share falls from 1 towards 1/8 and the cost stays quadratic', () => {
    const share = (length: number) => blockSparseCost(published, { numHeads: 32, length }).shareOfDense;
    expect(share(1024)).toBe(1);
    expect(share(8192)).toBeGreaterThan(0.31);
    expect(share(8192)).toBeLessThan(0.33);
    expect(share(131072)).toBeGreaterThan(1 / 8);
    expect(share(131072)).toBeLessThan(0.14);
    const pairs = (length: number) => blockSparseCost(published, { numHeads: 32, length }).numQueryKeyPairs;
    // About L²/16 vertical and 896 L local pairs: from L = 65,536 to 2 L that grows by 3.64, and towards 4 beyond.
    expect(pairs(131072) / pairs(65536)).toBeGreaterThan(3.6);
  });

  it('one decoded token at 8,192 reads about a quarter of the keys', () => {
    const { numQueryKeyPairs } = blockSparseCost(published, { numHeads: 32, length: 8192, queryStart: 8191 });
    // 16 local blocks and 14 of the 112 before them, of 64 keys each, for 32 heads.
    expect(numQueryKeyPairs).toBe(32 * 30 * 64);
  });

  it('rejects sizes that are none', () => {
    expect(() => blockSparseCost(published, { numHeads: 32, length: 0 })).toThrow(/^ARGUMENT.*options.length/);
    expect(() => blockSparseCost(published, { numHeads: 0, length: 1 })).toThrow(/^ARGUMENT.*options.numHeads/);
    expect(() => blockSparseCost(published, { numHeads: 1, length: 4, queryStart: 4 })).toThrow(
      'ARGUMENT blockSparseCost(options.queryStart): expected a position below the length 4, got 4',
    );
    expect(() => blockSparseCost(published, { numHeads: 1, length: 4, start: 1 } as never)).toThrow(/^OPTION_UNKNOWN/);
  });
});
