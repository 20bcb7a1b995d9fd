import type { BlockJob, BlockLayout, QuantizedBlock } from '../quantized-block.ts';

/**
 * The sum of squared differences between a block and the weights it stands for, each times its importance. It is taken
 * from the float32 values that a reader of the bytes will see.
 *
 * @internal
 */
export function blockError(layout: BlockLayout, job: BlockJob, block: QuantizedBlock): number {
  const { weightsPerBlock, weightsPerGroup } = layout;
  const { x, importance } = job;
  const { codes } = block;
  let error = 0;
  for (let start = 0, group = 0; start < weightsPerBlock; start += weightsPerGroup, group++) {
    const scale = block.d * block.scaleCodes[group]!;
    const offset = block.m * block.minimumCodes[group]!;
    for (let i = start; i < start + weightsPerGroup; i++) {
      const difference = Math.fround(scale * codes[i]! + offset) - x[i]!;
      error += importance[i]! * difference * difference;
    }
  }
  return error;
}
