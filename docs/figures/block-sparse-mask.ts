import {
  type BlockSparseCost,
  blockSparseCost,
  createBlockSparseLayout,
  createBlockSparsePattern,
  layoutRow,
} from '@phiblocks/block-sparse-attention';
import type { Phi3SmallConfig } from '@phiblocks/weights';
import { memberOf } from './published-configs.ts';

/** The controls of the figure. */
export interface MaskSettings {
  readonly blockSize: number;
  readonly numLocalBlocks: number;
  readonly verticalStride: number;
  readonly numHeads: number;
  readonly homoHeadPattern: boolean;
  /** Tokens. */
  readonly length: number;
}

/** One row of the picture per head, all for the same query block; or one per query block, all for the same head. */
export type MaskView = { readonly queryBlock: number } | { readonly head: number };

/** `f` is the future. */
export type MaskCell = 'local' | 'vertical' | 'skipped' | 'future';

/** The settings of the figure in the Phi-3 report: 9 blocks, 3 heads. */
export const paperFigure: MaskSettings = {
  blockSize: 64,
  numLocalBlocks: 2,
  verticalStride: 3,
  numHeads: 3,
  homoHeadPattern: false,
  length: 9 * 64,
};

/** The settings of the published Phi-3-small, at a length. */
export function publishedSettings(length: number): MaskSettings {
  const config = memberOf('phi-3-small-8k-instruct').config as Phi3SmallConfig;
  return {
    blockSize: config.blocksparseBlockSize,
    numLocalBlocks: config.blocksparseNumLocalBlocks,
    verticalStride: config.blocksparseVertStride,
    numHeads: config.numAttentionHeads,
    homoHeadPattern: config.blocksparseHomoHeadPattern,
    length,
  };
}

/** The cells of the picture, row by row. */
export function maskCells(settings: MaskSettings, view: MaskView): MaskCell[][] {
  const { numHeads, length } = settings;
  const layout = createBlockSparseLayout(patternOf(settings), { numHeads, length });
  const { numBlocks } = layout;
  const row = (head: number, queryBlock: number): MaskCell[] => {
    const seen = new Set(layoutRow(layout, head, queryBlock));
    return Array.from({ length: numBlocks }, (_, keyBlock) => {
      if (keyBlock > queryBlock) return 'future';
      if (!seen.has(keyBlock)) return 'skipped';
      return queryBlock - keyBlock < settings.numLocalBlocks ? 'local' : 'vertical';
    });
  };
  return 'head' in view
    ? Array.from({ length: numBlocks }, (_, queryBlock) => row(view.head, queryBlock))
    : Array.from({ length: numHeads }, (_, head) => row(head, view.queryBlock));
}

/** The cost of a prompt of `length` tokens, and of the one token after it. */
export function maskCost(settings: MaskSettings): { prompt: BlockSparseCost; nextToken: BlockSparseCost } {
  const { numHeads, length } = settings;
  const pattern = patternOf(settings);
  return {
    prompt: blockSparseCost(pattern, { numHeads, length }),
    nextToken: blockSparseCost(pattern, { numHeads, length: length + 1, queryStart: length }),
  };
}

/** The share of dense attention that is left, by length of the prompt. */
export function shareByLength(settings: MaskSettings, lengths: readonly number[]): number[] {
  const pattern = patternOf(settings);
  return lengths.map((length) => blockSparseCost(pattern, { numHeads: settings.numHeads, length }).shareOfDense);
}

function patternOf({ blockSize, numLocalBlocks, verticalStride, numHeads, homoHeadPattern }: MaskSettings) {
  return createBlockSparsePattern({ blockSize, numLocalBlocks, verticalStride, numHeads, homoHeadPattern });
}
