import { EXPONENTIAL } from './control';
import { largestOf, madd } from './vector';

// The exponentials of a softmax, which works in powers of two: whoever computes scores multiplies them by log2(e) beforehand.
//
//   2^x = 2^t · 2^r, t the whole number next to x, r = x - t (exact, |r| ≤ 1/2)
//
// 2^r is a polynomial of degree 6 whose relative error is 2^-29 (fitted for the least largest one); with the roundings of its
// evaluation the result is within 1.5 units in the last place. Adding 1.5 · 2^23 + 127 to x leaves t + 127 in the low bits of
// the sum, rounded as every sum is, and a shift by 23 makes 2^t of it: no conversion, which V8 spends seven instructions on.
// x is at most 0 here. From below it is cut off at -127, where t + 127 is 0 and so is the result.
//
// The constants are loaded from memory, because V8 builds a `v128.const` anew at every use.

/** Multiplies all exponentials: 2^0, or 2^96 for weights that meet float16 (see `vector.ts`). */
export const PLAIN: usize = EXPONENTIAL;
export const TIMES_TWO_TO_96: usize = EXPONENTIAL + 32;
const COEFFICIENTS: usize = EXPONENTIAL + 64;

/** log2(e) */
export const LOG2_E: f32 = 1.4426950408889634;

/** Bytes of the scores of a chunk: 32 float32. */
const SCORES: usize = 128;

/**
 * Replaces 32 scores by 2^(score - largest so far), and brings what was summed before to the new largest. A score of -∞ counts
 * for nothing.
 *
 * @param kind - `PLAIN` or `TIMES_TWO_TO_96`
 * @param largest - address of the largest score so far
 * @param totals - address of four sums of exponentials so far, which together are the sum of all
 * @param sums - weighted sums so far, `sumsSize` bytes
 */
export function soften(
  scores: usize,
  kind: usize,
  largest: usize,
  totals: usize,
  sums: usize,
  sumsSize: usize,
): void {
  // `pmax` is one instruction, `max` seven. A NaN may get lost here, but not below, unless every score is one: then `pmax` keeps
  // its first operand.
  let peak = v128.load(scores), peak2 = v128.load(scores, 16);
  for (let at: usize = 32; at < SCORES; at += 32) {
    peak = f32x4.pmax(v128.load(scores + at), peak);
    peak2 = f32x4.pmax(v128.load(scores + at, 16), peak2);
  }
  const before = load<f32>(largest);
  const now = max(before, largestOf(f32x4.max(peak, peak2)));
  if (now == -Infinity) {
    // Nothing seen yet: no row of exponentials can be made without a finite largest.
    memory.fill(scores, 0, SCORES);
    return;
  }
  const lowest = v128.load(kind), magic = v128.load(kind, 16);
  const c6 = v128.load(COEFFICIENTS), c5 = v128.load(COEFFICIENTS, 16), c4 = v128.load(COEFFICIENTS, 32);
  const c3 = v128.load(COEFFICIENTS, 48), c2 = v128.load(COEFFICIENTS, 64), c1 = v128.load(COEFFICIENTS, 80);
  const c0 = v128.load(COEFFICIENTS, 96);
  const shift = f32x4.splat(now);
  let sum = f32x4.splat(0);
  for (let at: usize = 0; at < SCORES; at += 16) {
    const x = f32x4.pmax(f32x4.sub(v128.load(scores + at), shift), lowest);
    const shifted = f32x4.add(x, magic);
    const r = f32x4.sub(x, f32x4.sub(shifted, magic));
    const p = madd(r, madd(r, madd(r, madd(r, madd(r, madd(r, c6, c5), c4), c3), c2), c1), c0);
    const e = f32x4.mul(p, i32x4.shl(shifted, 23));
    v128.store(scores + at, e);
    sum = f32x4.add(sum, e);
  }
  let carried = v128.load(totals);
  if (now != before) {
    store<f32>(largest, now);
    const c = powerOfTwo(f32x4.splat(before - now));
    carried = f32x4.mul(carried, c);
    for (let i: usize = 0; i < sumsSize; i += 16) v128.store(sums + i, f32x4.mul(v128.load(sums + i), c));
  }
  v128.store(totals, f32x4.add(carried, sum));
}

/** 2^x for x ≤ 0, as above. */
function powerOfTwo(value: v128): v128 {
  const x = f32x4.pmax(value, v128.load(PLAIN));
  const magic = v128.load(PLAIN, 16);
  const shifted = f32x4.add(x, magic);
  const r = f32x4.sub(x, f32x4.sub(shifted, magic));
  let p = v128.load(COEFFICIENTS);
  for (let i: usize = 16; i <= 96; i += 16) p = madd(r, p, v128.load(COEFFICIENTS + i));
  return f32x4.mul(p, i32x4.shl(shifted, 23));
}
