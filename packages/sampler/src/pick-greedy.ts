import { expectFloat32, rejectEmpty, rejectLogit } from './checks.ts';

/**
 * The most likely token; of equally likely ones the lowest id.
 *
 * @param logits - `[V]`
 * @throws Phi3Error `NUM_NAN` for a logit that is NaN or +Infinity, `SAMPLER_EMPTY` when all are -Infinity
 * @example
 * pickGreedy(Float32Array.of(1, 7, 7)); // => 1
 */
export function pickGreedy(logits: Float32Array): number {
  expectFloat32('pickGreedy', logits);
  return indexOfLargest(logits, 'pickGreedy');
}

/** {@link pickGreedy} under the name of the function that was called. */
export function indexOfLargest(logits: Float32Array, functionName: string): number {
  let best = -1;
  let largest = -Infinity;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (logit > largest) {
      largest = logit;
      best = id;
    } else if (Number.isNaN(logit)) {
      rejectLogit(functionName, id, logit);
    }
  }
  if (largest === Infinity) rejectLogit(functionName, best, largest);
  if (best < 0) rejectEmpty(functionName, logits.length);
  return best;
}
