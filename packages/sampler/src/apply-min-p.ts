import { copyLogits, expectNumber, largestLogit } from './checks.ts';

/**
 * Rules out tokens whose probability is below `minP` times that of the most likely one.
 *
 * Source: Nguyen et al., arXiv:2407.01082; `MinPLogitsWarper` of transformers.
 *
 * @param logits - `[V]`
 * @param minP - from 0 to 1; 0 keeps all, 1 only the most likely and its equals
 * @param out - `[V]`; may be `logits`; allocated when absent
 * @returns `out`
 * @throws ArgumentError `ARGUMENT` for a `minP` outside [0, 1]
 * @throws Phi3Error `NUM_NAN` for a logit that is NaN or +Infinity
 * @example
 * applyMinP(Float32Array.of(0, Math.log(0.5), Math.log(0.1)), 0.2)[2]; // => -Infinity
 */
export function applyMinP(logits: Float32Array, minP: number, out?: Float32Array): Float32Array {
  expectNumber('applyMinP', 'minP', minP, 'a number from 0 to 1', (value) => value >= 0 && value <= 1);
  const result = copyLogits('applyMinP', logits, out);
  if (minP > 0) keepMinP(result, minP);
  return result;
}

/** {@link applyMinP} in place; `minP` is above 0. */
export function keepMinP(logits: Float32Array, minP: number): void {
  // p < minP · p_max is the same as logit < logit_max + ln minP: no exponentials are needed.
  const threshold = largestLogit(logits) + Math.log(minP);
  for (let id = 0; id < logits.length; id++) {
    if (logits[id]! < threshold) logits[id] = -Infinity;
  }
}
