import type { BlockJob, BlockLayout, QuantizedBlock } from '../quantized-block.ts';

/**
 * Gives every weight of a group the code that comes nearest to it under the group's stored scale and minimum.
 *
 * @internal
 */
export function assignCodes(layout: BlockLayout, job: BlockJob, block: QuantizedBlock, group: number): void {
  const { weightsPerGroup, lowestCode, highestCode } = layout;
  const { x } = job;
  const { codes } = block;
  const scale = block.d * block.scaleCodes[group]!;
  const offset = block.m * block.minimumCodes[group]!;
  // A scale of zero gives every code the same weight; code 0 exists in all formats.
  const inverse = scale === 0 ? 0 : 1 / scale;
  const span = highestCode - lowestCode;
  const shift = 0.5 - lowestCode;
  const first = group * weightsPerGroup;
  for (let i = first; i < first + weightsPerGroup; i++) {
    const shifted = (x[i]! - offset) * inverse + shift;
    codes[i] = (shifted > 0 ? (shifted > span ? span : shifted | 0) : 0) + lowestCode;
  }
}
