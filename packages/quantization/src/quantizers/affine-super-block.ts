import { roundToHalf } from '../half-float.ts';
import type { BlockJob, BlockLayout, QuantizedBlock } from '../quantized-block.ts';
import { searchAffineScale } from '../search/affine-scale.ts';
import { assignCodes } from '../search/assign-codes.ts';
import { keepBetter } from '../search/keep-better.ts';

const highestScaleCode = 63; // six bits each for scale and minimum
const weightsPerLook = 8;
/** Steps of scale and minimum code; no step comes first, and wins where others are no better. */
const neighbours: readonly (readonly [scale: number, minimum: number])[] = [
  [0, 0],
  [-1, -1],
  [-1, 0],
  [-1, 1],
  [0, -1],
  [0, 1],
  [1, -1],
  [1, 0],
  [1, 1],
];

/**
 * Q4_K and Q5_K: eight groups of 32, each with a scale and a minimum of six bits that count in the block's d and dmin.
 *
 * Without search, scales and minima follow from the range of each group. With search they are found group by group, rounded
 * to six bits, and tried one step up and down; then d and dmin are fitted to the codes of the whole block, and the steps tried
 * again. The method is
 * that of llama.cpp (weighted least squares over trial scales); the trials are our own, and so are the bytes.
 *
 * @internal
 */
export function quantizeAffineSuperBlock(layout: BlockLayout, job: BlockJob, block: QuantizedBlock): void {
  scalesFromRange(layout, job);
  roundScales(layout, job, block);
  if (!job.search) return;

  const { trial } = job;
  const numGroups = layout.weightsPerBlock / layout.weightsPerGroup;
  for (let group = 0; group < numGroups; group++) searchAffineScale(layout, job, group, 0);
  roundScales(layout, job, trial);
  if (!Number.isFinite(trial.d) || !Number.isFinite(trial.m)) return;
  for (let group = 0; group < numGroups; group++) tryNeighbours(layout, job, trial, group);
  keepBetter(layout, job, trial, block);
  if (!fitBlockScales(layout, job, trial)) return;
  for (let group = 0; group < numGroups; group++) tryNeighbours(layout, job, trial, group);
  keepBetter(layout, job, trial, block);
}

/** Scale and offset that put the ends of each group's range, or zero, on the first and the last code. */
function scalesFromRange(layout: BlockLayout, job: BlockJob): void {
  const { weightsPerBlock, weightsPerGroup, highestCode } = layout;
  for (let start = 0, group = 0; start < weightsPerBlock; start += weightsPerGroup, group++) {
    let lowest = 0; // a minimum is only ever subtracted
    let highest = job.x[start]!;
    for (let i = start; i < start + weightsPerGroup; i++) {
      if (job.x[i]! < lowest) lowest = job.x[i]!;
      if (job.x[i]! > highest) highest = job.x[i]!;
    }
    job.scales[group] = (highest - lowest) / highestCode;
    job.offsets[group] = lowest;
  }
}

/** Rounds the scales and offsets of the job to the block's two float16 and sixteen six-bit numbers, and assigns codes. */
function roundScales(layout: BlockLayout, job: BlockJob, block: QuantizedBlock): void {
  const numGroups = layout.weightsPerBlock / layout.weightsPerGroup;
  let largestScale = 0;
  let lowestOffset = 0;
  for (let group = 0; group < numGroups; group++) {
    largestScale = Math.max(largestScale, job.scales[group]!);
    lowestOffset = Math.min(lowestOffset, job.offsets[group]!);
  }
  block.d = roundToHalf(largestScale / highestScaleCode);
  block.m = roundToHalf(lowestOffset / highestScaleCode);
  for (let group = 0; group < numGroups; group++) {
    block.scaleCodes[group] = scaleCode(job.scales[group]!, block.d);
    block.minimumCodes[group] = scaleCode(job.offsets[group]!, block.m);
    assignCodes(layout, job, block, group);
  }
}

function scaleCode(value: number, unit: number): number {
  if (unit === 0) return 0;
  return Math.min(highestScaleCode, Math.max(0, Math.round(value / unit)));
}

/**
 * Moves scale and minimum of one group by one step where that makes its error smaller. The errors are summed in this function
 * and not in one of their own: floats that pass between functions are allocated, which costs a tenth of the whole time in Q4_K.
 */
function tryNeighbours(layout: BlockLayout, job: BlockJob, block: QuantizedBlock, group: number): void {
  const { weightsPerGroup, highestCode } = layout;
  const { x, importance } = job;
  const first = group * weightsPerGroup;
  const end = first + weightsPerGroup;
  const scaleCode = block.scaleCodes[group]!;
  const minimumCode = block.minimumCodes[group]!;
  let best = Number.POSITIVE_INFINITY;
  let bestScaleCode = scaleCode;
  let bestMinimumCode = minimumCode;
  for (const [scaleStep, minimumStep] of neighbours) {
    const s = scaleCode + scaleStep;
    const m = minimumCode + minimumStep;
    if (s < 0 || s > highestScaleCode || m < 0 || m > highestScaleCode) continue;
    const scale = block.d * s;
    const offset = block.m * m;
    const inverse = scale === 0 ? 0 : 1 / scale;
    let error = 0;
    // A sum that has reached the best one cannot win; a look per weight would cost more than it saves.
    for (let start = first; start < end && error < best; start += weightsPerLook) {
      for (let i = start; i < start + weightsPerLook; i++) {
        const shifted = (x[i]! - offset) * inverse + 0.5;
        const code = shifted > 0 ? (shifted > highestCode ? highestCode : shifted | 0) : 0;
        const difference = scale * code + offset - x[i]!;
        error += importance[i]! * difference * difference;
      }
    }
    if (error < best) {
      best = error;
      bestScaleCode = s;
      bestMinimumCode = m;
    }
  }
  if (bestScaleCode === scaleCode && bestMinimumCode === minimumCode) return; // the codes are theirs already
  block.scaleCodes[group] = bestScaleCode;
  block.minimumCodes[group] = bestMinimumCode;
  assignCodes(layout, job, block, group);
}

/**
 * Fits d and m of a block to its codes: x ≈ d · a + m · b with a = scale code · code and b = minimum code, weighted least
 * squares over all 256 weights; then assigns codes anew. False where there is nothing to fit.
 */
function fitBlockScales(layout: BlockLayout, job: BlockJob, block: QuantizedBlock): boolean {
  const { weightsPerBlock, weightsPerGroup } = layout;
  const { x, importance } = job;
  let sumAA = 0;
  let sumAB = 0;
  let sumBB = 0;
  let sumXA = 0;
  let sumXB = 0;
  for (let start = 0, group = 0; start < weightsPerBlock; start += weightsPerGroup, group++) {
    const scale = block.scaleCodes[group]!;
    const b = block.minimumCodes[group]!;
    for (let i = start; i < start + weightsPerGroup; i++) {
      const a = scale * block.codes[i]!;
      const weight = importance[i]!;
      sumAA += weight * a * a;
      sumAB += weight * a * b;
      sumBB += weight * b * b;
      sumXA += weight * x[i]! * a;
      sumXB += weight * x[i]! * b;
    }
  }
  const determinant = sumAA * sumBB - sumAB * sumAB;
  if (!(determinant > 0)) return false;
  const d = roundToHalf((sumXA * sumBB - sumXB * sumAB) / determinant);
  const m = roundToHalf((sumXB * sumAA - sumXA * sumAB) / determinant);
  if (!(d > 0 && m <= 0)) return false;
  block.d = d;
  block.m = m;
  for (let group = 0; group * weightsPerGroup < weightsPerBlock; group++) assignCodes(layout, job, block, group);
  return true;
}
