import { describeWithShared, loadGolden } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import {
  type MaskSettings,
  maskCells,
  maskCost,
  paperFigure,
  publishedSettings,
  shareByLength,
} from '../figures/block-sparse-mask.ts';

/** The definition, cell by cell, from the code published with the checkpoint. */
function cell(
  { numLocalBlocks, verticalStride, numHeads, homoHeadPattern }: MaskSettings,
  head: number,
  q: number,
  k: number,
) {
  const step = homoHeadPattern ? 0 : Math.max(1, Math.floor(verticalStride / numHeads));
  if (k > q) return 'future';
  if (q - k < numLocalBlocks) return 'local';
  return (k + head * step + 1) % verticalStride === 0 ? 'vertical' : 'skipped';
}

const settings: MaskSettings[] = [
  paperFigure,
  publishedSettings(40 * 64),
  { ...paperFigure, numHeads: 5, verticalStride: 11, homoHeadPattern: true, length: 20 * 64 },
  { ...paperFigure, numHeads: 2, verticalStride: 9, blockSize: 16, length: 17 * 16 },
];

describe('the mask', () => {
  it.each(settings)('is the definition: %o', (one) => {
    const numBlocks = one.length / one.blockSize;
    for (let head = 0; head < one.numHeads; head++) {
      const expected = Array.from({ length: numBlocks }, (_, q) =>
        Array.from({ length: numBlocks }, (_, k) => cell(one, head, q, k)),
      );
      expect(maskCells(one, { head })).toEqual(expected);
    }
    const last = numBlocks - 1;
    const rows = Array.from({ length: one.numHeads }, (_, head) =>
      Array.from({ length: numBlocks }, (_, k) => cell(one, head, last, k)),
    );
    expect(maskCells(one, { queryBlock: last })).toEqual(rows);
  });

  it('is the figure of the report: heads 0, 1 and 2 of query block 8', () => {
    const letters = { local: 'L', vertical: 'V', skipped: '.', future: ' ' };
    const rows = maskCells(paperFigure, { queryBlock: 8 }).map((row) => row.map((one) => letters[one]).join(''));
    expect(rows).toEqual(['..V..V.LL', '.V..V..LL', 'V..V..VLL']);
  });
});

describe('the cost', () => {
  it.each(settings)('counts the pairs of the mask: %o', (one) => {
    let pairs = 0;
    let dense = 0;
    for (let head = 0; head < one.numHeads; head++) {
      for (let i = 0; i < one.length; i++) {
        for (let j = 0; j <= i; j++) {
          dense++;
          const kind = cell(one, head, Math.floor(i / one.blockSize), Math.floor(j / one.blockSize));
          if (kind !== 'skipped') pairs++;
        }
      }
    }
    const { prompt } = maskCost(one);
    expect(prompt.numQueryKeyPairs).toBe(pairs);
    expect(prompt.numDenseQueryKeyPairs).toBe(dense);
    expect(shareByLength(one, [one.length])).toEqual([pairs / dense]);
  });

  it('of the published model is that of the README: 100, 32 and 14 per cent', () => {
    const shares = shareByLength(publishedSettings(1024), [1024, 8192, 131072]);
    expect(shares.map((share) => Math.round(100 * share))).toEqual([100, 32, 14]);
  });
});

describeWithShared('masks of the published code', 'goldens/block-blocksparse-mask-a', () => {
  const golden = loadGolden('block-blocksparse-mask-a');
  const runs = golden.description.runs!.map((run) => ({
    name: run.name,
    settings: {
      blockSize: run.block_size as number,
      numLocalBlocks: run.num_local_blocks as number,
      verticalStride: run.vert_stride as number,
      numHeads: run.heads as number,
      homoHeadPattern: run.homo_head as boolean,
      length: run.length as number,
    },
  }));

  it.each(runs.filter(({ name }) => golden.tensors.has(`${name}/block_mask`)))(
    'are the recorded ones: $name',
    ({ name, settings: one }) => {
      const mask = golden.tensor(`${name}/block_mask`);
      const [numHeads, numBlocks] = mask.shape as [number, number, number];
      for (let head = 0; head < numHeads; head++) {
        const seen = maskCells(one, { head }).map((row) =>
          row.map((kind) => (kind === 'local' || kind === 'vertical' ? 1 : 0)),
        );
        const start = head * numBlocks * numBlocks;
        expect(seen.flat()).toEqual([...mask.data.subarray(start, start + numBlocks * numBlocks)]);
      }
    },
  );
});
