import type { BlockLayout, QuantizedBlock } from './quantized-block.ts';

/** Writes the weights of a block from `out[first]`, each rounded once to float32. @internal */
export function dequantizeBlock(layout: BlockLayout, block: QuantizedBlock, out: Float32Array, first: number): void {
  const { weightsPerBlock, weightsPerGroup } = layout;
  const { codes } = block;
  for (let start = 0, group = 0; start < weightsPerBlock; start += weightsPerGroup, group++) {
    // Exact in float64: 11 bits of d times 8 of a scale code times 8 of a code.
    const scale = block.d * block.scaleCodes[group]!;
    const offset = block.m * block.minimumCodes[group]!;
    for (let i = start; i < start + weightsPerGroup; i++) out[first + i] = scale * codes[i]! + offset;
  }
}
