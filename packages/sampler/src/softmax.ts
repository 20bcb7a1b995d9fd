import { copyLogits, largestLogit, rejectEmpty } from './checks.ts';

/**
 * The probabilities of logits: `exp(logit) / Σ exp(logit)`, summed in float64.
 *
 * @param logits - `[V]`; -Infinity gives 0
 * @param out - `[V]`; may be `logits`; allocated when absent
 * @returns `out`
 * @throws Phi3Error `NUM_NAN` for a logit that is NaN or +Infinity, `SAMPLER_EMPTY` when all are -Infinity
 * @example
 * softmax(Float32Array.of(0, Math.log(3), -Infinity)); // => [0.25, 0.75, 0]
 */
export function softmax(logits: Float32Array, out?: Float32Array): Float32Array {
  const result = copyLogits('softmax', logits, out);
  const largest = largestLogit(result);
  if (largest === -Infinity) rejectEmpty('softmax', result.length);
  let total = 0;
  for (let id = 0; id < result.length; id++) total += Math.exp(result[id]! - largest);
  for (let id = 0; id < result.length; id++) result[id] = Math.exp(result[id]! - largest) / total;
  return result;
}
