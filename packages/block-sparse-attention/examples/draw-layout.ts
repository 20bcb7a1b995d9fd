// Draws the block-sparse figure of the Phi-3 report. Run with Node 22.18 or later: node examples/draw-layout.ts [svg]
import { createBlockSparseLayout, createBlockSparsePattern, renderLayout } from '@phiblocks/block-sparse-attention';

const numHeads = 3;
const pattern = createBlockSparsePattern({ blockSize: 64, numLocalBlocks: 2, verticalStride: 3, numHeads });
const layout = createBlockSparseLayout(pattern, { numHeads, length: 9 * pattern.blockSize });
console.log(renderLayout(layout, { format: process.argv[2] === 'svg' ? 'svg' : 'text', queryBlock: 8 }));
