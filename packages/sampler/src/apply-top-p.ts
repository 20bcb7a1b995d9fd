import { copyLogits, expectNumber, largestLogit } from './checks.ts';
import { selectByWeight } from './select-by-weight.ts';

/**
 * Keeps the nucleus: the most likely tokens whose probabilities together reach `topP`, the one that crosses it included.
 * Among equally likely tokens the lower id comes first.
 *
 * Source: Holtzman et al., arXiv:1904.09751 §3.1; `TopPLogitsWarper` of transformers.
 *
 * @param logits - `[V]`
 * @param topP - above 0, at most 1; 1 keeps all
 * @param out - `[V]`; may be `logits`; allocated when absent
 * @returns `out`
 * @throws ArgumentError `ARGUMENT` for a `topP` outside (0, 1]
 * @throws Phi3Error `NUM_NAN` for a logit that is NaN or +Infinity
 * @example
 * // Probabilities 0.5, 0.25, 0.125, 0.125.
 * const logits = Float32Array.of(8, 4, 2, 2).map(Math.log2);
 * softmax(applyTopP(logits.map((l) => l * Math.LN2), 0.75)); // => [2 / 3, 1 / 3, 0, 0]
 */
export function applyTopP(logits: Float32Array, topP: number, out?: Float32Array): Float32Array {
  expectShare('applyTopP', 'topP', topP);
  const result = copyLogits('applyTopP', logits, out);
  if (topP < 1) keepTopP(result, topP, new Float64Array(2 * result.length));
  return result;
}

/** Throws unless the number lies in (0, 1]. */
export function expectShare(functionName: string, argument: string, value: unknown): void {
  expectNumber(functionName, argument, value, 'a number above 0 and at most 1', (share) => share > 0 && share <= 1);
}

/** {@link applyTopP} in place; `topP` is below 1, `scratch` `[2 V]`. */
export function keepTopP(logits: Float32Array, topP: number, scratch: Float64Array): void {
  const vocabSize = logits.length;
  const largest = largestLogit(logits);
  if (largest === -Infinity) return;
  const keys = scratch.subarray(0, vocabSize);
  const weights = scratch.subarray(vocabSize, 2 * vocabSize);
  let total = 0;
  for (let id = 0; id < vocabSize; id++) {
    // Tokens that are ruled out already, often nearly all, need no exponential.
    const weight = logits[id] === -Infinity ? 0 : Math.exp(logits[id]! - largest);
    weights[id] = weight;
    total += weight;
  }
  const target = topP * total;
  // All tokens below (1 - topP) / V together miss the share 1 - topP, so the others reach topP without them: only those
  // need ordering, usually a few hundred.
  const least = (total - target) / vocabSize;
  let count = 0;
  for (let id = 0; id < vocabSize; id++) {
    if (weights[id]! < least || weights[id] === 0) continue;
    keys[count] = logits[id]!;
    weights[count] = weights[id]!;
    count++;
  }
  const { threshold, weightAbove } = selectByWeight(keys, weights, count, target);
  // A token stays while the tokens before it do not yet reach the target.
  const weightAtThreshold = Math.exp(threshold - largest);
  let weightBefore = weightAbove;
  for (let id = 0; id < vocabSize; id++) {
    const logit = logits[id]!;
    if (logit > threshold) continue;
    if (logit === threshold && weightBefore < target) weightBefore += weightAtThreshold;
    else logits[id] = -Infinity;
  }
}
