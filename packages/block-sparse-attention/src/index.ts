export type { BlockSparsePattern } from '@phiblocks/tensor';
export { type BlockSparseAttentionOptions, blockSparseAttention } from './block-sparse-attention.ts';
export { type BlockSparseCost, blockSparseCost } from './cost.ts';
export { type BlockSparseLayout, createBlockSparseLayout, layoutRow } from './layout.ts';
export { type BlockSparsePatternOptions, createBlockSparsePattern } from './pattern.ts';
export { type RenderLayoutOptions, renderLayout } from './render-layout.ts';
export { visibleBlocks } from './visible-blocks.ts';
