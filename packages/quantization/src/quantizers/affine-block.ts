import { roundToHalf } from '../half-float.ts';
import type { BlockJob, BlockLayout, QuantizedBlock } from '../quantized-block.ts';
import { searchAffineScale } from '../search/affine-scale.ts';
import { assignCodes } from '../search/assign-codes.ts';
import { keepBetter } from '../search/keep-better.ts';
import { inverseOf } from './symmetric-block.ts';

/**
 * Q4_1 and Q5_1: code 0 is the smallest weight, the highest code the largest. Every operation is rounded to float32, and
 * codes come from scale and minimum before they are rounded to float16: the bytes equal llama.cpp's.
 *
 * Source: llama.cpp `ggml/src/ggml-quants.c` (quantize_row_q4_1_ref, quantize_row_q5_1_ref).
 *
 * @internal
 */
export function quantizeAffineBlock(layout: BlockLayout, job: BlockJob, block: QuantizedBlock): void {
  const { x } = job;
  const { weightsPerBlock, highestCode } = layout;
  let lowest = x[0]!;
  let highest = x[0]!;
  for (let i = 1; i < weightsPerBlock; i++) {
    if (x[i]! < lowest) lowest = x[i]!;
    if (x[i]! > highest) highest = x[i]!;
  }
  const d = Math.fround(Math.fround(highest - lowest) / highestCode);
  const inverse = inverseOf(d);
  for (let i = 0; i < weightsPerBlock; i++) {
    const scaled = Math.fround(Math.fround(x[i]! - lowest) * inverse);
    block.codes[i] = Math.min(highestCode, Math.trunc(Math.fround(scaled + 0.5)));
  }
  setScaleAndMinimum(block, roundToHalf(d), roundToHalf(lowest));
  if (!job.search) return;

  const { trial } = job;
  searchAffineScale(layout, job, 0, Number.POSITIVE_INFINITY);
  setScaleAndMinimum(trial, roundToHalf(job.scales[0]!), roundToHalf(job.offsets[0]!));
  assignCodes(layout, job, trial, 0);
  keepBetter(layout, job, trial, block);
}

function setScaleAndMinimum(block: QuantizedBlock, d: number, m: number): void {
  block.d = d;
  block.m = m;
  block.scaleCodes[0] = 1;
  block.minimumCodes[0] = 1;
}
