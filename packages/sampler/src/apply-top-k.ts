import { copyLogits, expectWholeNumber } from './checks.ts';
import { kthLargest } from './kth-largest.ts';

/**
 * Keeps the k largest logits and rules out the rest. Tokens as likely as the k-th stay too, so ties may leave more than k.
 *
 * Source: Fan et al., arXiv:1805.04833; `TopKLogitsWarper` of transformers, ties included.
 *
 * @param logits - `[V]`
 * @param topK - how many to keep; 0, or V and more, keeps all
 * @param out - `[V]`; may be `logits`; allocated when absent
 * @returns `out`
 * @throws ArgumentError `ARGUMENT` for a number that is not whole or below 0
 * @throws Phi3Error `NUM_NAN` for a logit that is NaN or +Infinity
 * @example
 * applyTopK(Float32Array.of(1, 4, 3, 2), 2); // => [-Infinity, 4, 3, -Infinity]
 */
export function applyTopK(logits: Float32Array, topK: number, out?: Float32Array): Float32Array {
  expectWholeNumber('applyTopK', 'topK', topK);
  const result = copyLogits('applyTopK', logits, out);
  if (topK > 0) keepTopK(result, topK, new Float64Array(result.length));
  return result;
}

/** {@link applyTopK} in place; `topK` is at least 1, `scratch` holds V numbers or more. */
export function keepTopK(logits: Float32Array, topK: number, scratch: Float64Array): void {
  if (topK >= logits.length) return;
  const threshold = kthLargest(logits, topK, scratch);
  for (let id = 0; id < logits.length; id++) {
    if (logits[id]! < threshold) logits[id] = -Infinity;
  }
}
