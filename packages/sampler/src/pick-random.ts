import { expectFloat32, largestLogit, rejectEmpty, rejectLogit } from './checks.ts';
import type { Random } from './random.ts';

/**
 * Draws a token with the probabilities of the logits. It takes one number from the generator.
 *
 * @param logits - `[V]`; -Infinity is never drawn
 * @param random - where chance comes from
 * @throws Phi3Error `NUM_NAN` for a logit that is NaN or +Infinity, `SAMPLER_EMPTY` when all are -Infinity
 * @example
 * pickRandom(Float32Array.of(-Infinity, 3, -Infinity), createRandom(1)); // => 1
 */
export function pickRandom(logits: Float32Array, random: Random): number {
  expectFloat32('pickRandom', logits);
  return drawToken(logits, random, new Float64Array(logits.length), 'pickRandom');
}

/** {@link pickRandom} under the name of the function that was called; `scratch` holds V numbers or more. */
export function drawToken(logits: Float32Array, random: Random, scratch: Float64Array, functionName: string): number {
  const largest = largestLogit(logits);
  if (largest === Infinity) rejectLogit(functionName, logits.indexOf(Infinity), largest);
  let total = 0;
  let last = -1;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (Number.isNaN(logit)) rejectLogit(functionName, id, logit);
    const weight = logit === -Infinity ? 0 : Math.exp(logit - largest);
    scratch[id] = weight;
    total += weight;
    if (weight > 0) last = id;
  }
  if (last < 0) rejectEmpty(functionName, logits.length);
  const drawn = random.nextFloat() * total;
  let sum = 0;
  for (let id = 0; id < last; id++) {
    sum += scratch[id]!;
    // Strictly below: a token of weight 0 cannot be drawn, not even with a drawn 0.
    if (drawn < sum) return id;
  }
  return last;
}
