import { expectShare } from './apply-top-p.ts';
import { copyLogits, largestLogit } from './checks.ts';
import { selectByWeight } from './select-by-weight.ts';

/**
 * Keeps the tokens whose surprise, -log p, lies nearest to the entropy of the distribution, until their probabilities
 * together reach `typicalP`. It may rule out the most likely token. Equally near tokens stay together.
 *
 * Source: Meister et al., arXiv:2202.00666; `TypicalLogitsWarper` of transformers.
 *
 * @param logits - `[V]`
 * @param typicalP - above 0, at most 1; 1 keeps all
 * @param out - `[V]`; may be `logits`; allocated when absent
 * @returns `out`
 * @throws ArgumentError `ARGUMENT` for a `typicalP` outside (0, 1]
 * @throws Phi3Error `NUM_NAN` for a logit that is NaN or +Infinity
 * @example
 * // Probabilities 0.5, 0.3, 0.2: entropy 1.03, surprises 0.69, 1.20 and 1.61. The second is the nearest.
 * const logits = Float32Array.of(0.5, 0.3, 0.2).map(Math.log);
 * softmax(applyTypicalP(logits, 0.2)); // => [0, 1, 0]
 */
export function applyTypicalP(logits: Float32Array, typicalP: number, out?: Float32Array): Float32Array {
  expectShare('applyTypicalP', 'typicalP', typicalP);
  const result = copyLogits('applyTypicalP', logits, out);
  if (typicalP < 1) keepTypicalP(result, typicalP, new Float64Array(2 * result.length));
  return result;
}

/** {@link applyTypicalP} in place; `typicalP` is below 1, `scratch` `[2 V]`. */
export function keepTypicalP(logits: Float32Array, typicalP: number, scratch: Float64Array): void {
  const vocabSize = logits.length;
  const largest = largestLogit(logits);
  if (largest === -Infinity) return;
  const keys = scratch.subarray(0, vocabSize);
  const weights = scratch.subarray(vocabSize, 2 * vocabSize);
  let count = 0;
  let total = 0;
  let meanLogit = 0;
  for (let id = 0; id < vocabSize; id++) {
    const logit = logits[id]!;
    if (logit === -Infinity) continue;
    const weight = Math.exp(logit - largest);
    weights[count] = weight;
    total += weight;
    meanLogit += weight * logit;
    count++;
  }
  meanLogit /= total;
  // Surprise is logZ - logit and entropy is logZ - meanLogit: logZ drops out of their difference.
  count = 0;
  for (let id = 0; id < vocabSize; id++) {
    if (logits[id] === -Infinity) continue;
    keys[count] = -Math.abs(logits[id]! - meanLogit);
    count++;
  }
  const { threshold } = selectByWeight(keys, weights, count, typicalP * total);
  for (let id = 0; id < vocabSize; id++) {
    if (-Math.abs(logits[id]! - meanLogit) < threshold) logits[id] = -Infinity;
  }
}
