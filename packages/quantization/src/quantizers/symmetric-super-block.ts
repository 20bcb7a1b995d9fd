import { roundToHalf } from '../half-float.ts';
import type { BlockJob, BlockLayout, QuantizedBlock } from '../quantized-block.ts';
import { assignCodes } from '../search/assign-codes.ts';
import { keepBetter } from '../search/keep-better.ts';
import { searchSymmetricScale } from '../search/symmetric-scale.ts';

/**
 * Q6_K: sixteen groups of 16, each with a signed byte of scale that counts in the block's d.
 *
 * Without search, the largest weight of a group gets its lowest code. With search the scales are found group by group,
 * rounded to bytes, and d is fitted to the codes of the whole block. The method is that of llama.cpp; the trials are our
 * own, and so are the bytes.
 *
 * @internal
 */
export function quantizeSymmetricSuperBlock(layout: BlockLayout, job: BlockJob, block: QuantizedBlock): void {
  const { weightsPerBlock, weightsPerGroup, lowestCode } = layout;
  const numGroups = weightsPerBlock / weightsPerGroup;
  for (let group = 0; group < numGroups; group++) {
    let largest = 0;
    for (let i = group * weightsPerGroup; i < (group + 1) * weightsPerGroup; i++) {
      if (Math.abs(job.x[i]!) > Math.abs(largest)) largest = job.x[i]!;
    }
    job.scales[group] = largest / lowestCode;
  }
  roundScales(layout, job, block);
  if (!job.search) return;

  const { trial } = job;
  for (let group = 0; group < numGroups; group++) job.scales[group] = searchSymmetricScale(layout, job, group);
  roundScales(layout, job, trial);
  if (!Number.isFinite(trial.d)) return;
  keepBetter(layout, job, trial, block);
  if (fitBlockScale(layout, job, trial)) keepBetter(layout, job, trial, block);
}

/** The scale of largest magnitude gets code −128, the only one of its size; the others follow. Assigns codes. */
function roundScales(layout: BlockLayout, job: BlockJob, block: QuantizedBlock): void {
  const numGroups = layout.weightsPerBlock / layout.weightsPerGroup;
  let largest = 0;
  for (let group = 0; group < numGroups; group++) {
    if (Math.abs(job.scales[group]!) > Math.abs(largest)) largest = job.scales[group]!;
  }
  block.d = roundToHalf(largest / -128);
  block.m = -0;
  for (let group = 0; group < numGroups; group++) {
    const code = block.d === 0 ? 0 : Math.round(job.scales[group]! / block.d);
    block.scaleCodes[group] = Math.min(127, Math.max(-128, code));
    block.minimumCodes[group] = 0;
    assignCodes(layout, job, block, group);
  }
}

/** Fits d to the codes of the block, x ≈ d · scale code · code, and assigns codes anew. False where nothing can be fitted. */
function fitBlockScale(layout: BlockLayout, job: BlockJob, block: QuantizedBlock): boolean {
  const { weightsPerBlock, weightsPerGroup } = layout;
  let sumAA = 0;
  let sumXA = 0;
  for (let start = 0, group = 0; start < weightsPerBlock; start += weightsPerGroup, group++) {
    for (let i = start; i < start + weightsPerGroup; i++) {
      const a = block.scaleCodes[group]! * block.codes[i]!;
      sumAA += job.importance[i]! * a * a;
      sumXA += job.importance[i]! * job.x[i]! * a;
    }
  }
  if (!(sumAA > 0)) return false;
  block.d = roundToHalf(sumXA / sumAA);
  if (block.d === 0) return false;
  for (let group = 0; group * weightsPerGroup < weightsPerBlock; group++) assignCodes(layout, job, block, group);
  return true;
}
