import { roundToHalf } from '../half-float.ts';
import type { BlockJob, BlockLayout, QuantizedBlock } from '../quantized-block.ts';
import { assignCodes } from '../search/assign-codes.ts';
import { keepBetter } from '../search/keep-better.ts';
import { searchSymmetricScale } from '../search/symmetric-scale.ts';

/**
 * Q4_0 and Q5_0: the weight of largest magnitude gets the lowest code, so that d has the opposite sign. Every operation is
 * rounded to float32, and codes come from the scale before it is rounded to float16: the bytes equal llama.cpp's.
 *
 * Source: llama.cpp `ggml/src/ggml-quants.c` (quantize_row_q4_0_ref, quantize_row_q5_0_ref).
 *
 * @internal
 */
export function quantizeSignedBlock(layout: BlockLayout, job: BlockJob, block: QuantizedBlock): void {
  const { x } = job;
  const { weightsPerBlock, lowestCode, highestCode } = layout;
  let largest = 0;
  for (let i = 0; i < weightsPerBlock; i++) if (Math.abs(x[i]!) > Math.abs(largest)) largest = x[i]!;
  const d = Math.fround(largest / lowestCode);
  const inverse = inverseOf(d);
  const shift = 0.5 - lowestCode;
  const span = highestCode - lowestCode;
  for (let i = 0; i < weightsPerBlock; i++) {
    const shifted = Math.trunc(Math.fround(Math.fround(x[i]! * inverse) + shift));
    block.codes[i] = Math.min(span, shifted) + lowestCode;
  }
  setSingleScale(block, roundToHalf(d));
  if (job.search) improveScale(layout, job, block);
}

/**
 * Q8_0: the weight of largest magnitude gets code 127 or −127, halves are rounded away from zero.
 *
 * Source: llama.cpp `ggml/src/ggml-quants.c` (quantize_row_q8_0_ref).
 *
 * @internal
 */
export function quantizeByteBlock(layout: BlockLayout, job: BlockJob, block: QuantizedBlock): void {
  const { x } = job;
  const { weightsPerBlock, highestCode } = layout;
  let largest = 0;
  for (let i = 0; i < weightsPerBlock; i++) largest = Math.max(largest, Math.abs(x[i]!));
  const d = Math.fround(largest / highestCode);
  const inverse = inverseOf(d);
  for (let i = 0; i < weightsPerBlock; i++) {
    const scaled = Math.fround(x[i]! * inverse);
    block.codes[i] = scaled < 0 ? -Math.floor(0.5 - scaled) : Math.floor(scaled + 0.5);
  }
  setSingleScale(block, roundToHalf(d));
  if (job.search) improveScale(layout, job, block);
}

/** Takes the searched scale where its error, measured on the stored values, is the smaller one. */
function improveScale(layout: BlockLayout, job: BlockJob, block: QuantizedBlock): void {
  const { trial } = job;
  setSingleScale(trial, roundToHalf(searchSymmetricScale(layout, job, 0)));
  assignCodes(layout, job, trial, 0);
  keepBetter(layout, job, trial, block);
}

function setSingleScale(block: QuantizedBlock, d: number): void {
  block.d = d;
  block.m = -0;
  block.scaleCodes[0] = 1;
  block.minimumCodes[0] = 0;
}

/**
 * 1 / d in float32, and 0 for 0. Below about 2^-128 the inverse is infinite, and C code then converts infinities to
 * integers, which is undefined; such a d is 0 in float16 anyway, so every code means the same weight.
 *
 * @internal
 */
export function inverseOf(d: number): number {
  const inverse = d === 0 ? 0 : Math.fround(1 / d);
  return Number.isFinite(inverse) ? inverse : 0;
}
