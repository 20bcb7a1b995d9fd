import { ArgumentError } from '@phiblocks/tensor';
import { copyLogits, expectWholeNumber, largestLogit, rejectEmpty } from './checks.ts';
import { kthLargest } from './kth-largest.ts';

/** A token with the natural logarithm of its probability. */
export interface TokenLogprob {
  readonly id: number;
  readonly logprob: number;
}

/**
 * The logarithm of the sum of the exponentials of logits, in float64: `logit - logSumExp(logits)` is a log-probability.
 *
 * @param logits - `[V]`
 * @throws Phi3Error `NUM_NAN` for a logit that is NaN or +Infinity, `SAMPLER_EMPTY` when all are -Infinity
 * @example
 * logSumExp(Float32Array.of(0, 0)); // => Math.LN2
 */
export function logSumExp(logits: Float32Array): number {
  copyLogits('logSumExp', logits, logits);
  const { largest, logOfRest } = normalizerOf(logits, 'logSumExp');
  return largest + logOfRest;
}

/** {@link logSumExp} in two parts, whose sum would lose the second one where logits are huge. */
export interface Normalizer {
  readonly largest: number;
  /** Logarithm of the sum of exp(logit - largest). */
  readonly logOfRest: number;
}

/** The {@link Normalizer} of logits that have been checked. */
export function normalizerOf(logits: Float32Array, functionName: string): Normalizer {
  const largest = largestLogit(logits);
  if (largest === -Infinity) rejectEmpty(functionName, logits.length);
  let total = 0;
  for (let id = 0; id < logits.length; id++) total += Math.exp(logits[id]! - largest);
  return { largest, logOfRest: Math.log(total) };
}

/**
 * The most likely tokens with their log-probabilities, the most likely first, of equals the lower id first. Tokens of
 * probability 0 are left out, so fewer than `count` may come.
 *
 * @param logits - `[V]`
 * @param count - how many; from 0 to V
 * @throws ArgumentError `ARGUMENT` for a count that is not whole, below 0 or above V
 * @throws Phi3Error `NUM_NAN` for a logit that is NaN or +Infinity, `SAMPLER_EMPTY` when all are -Infinity
 * @example
 * topLogProbabilities(Float32Array.of(0, Math.log(3), -Infinity), 1)[0].id; // => 1
 */
export function topLogProbabilities(logits: Float32Array, count: number): TokenLogprob[] {
  copyLogits('topLogProbabilities', logits, logits);
  expectCount('topLogProbabilities', 'count', count, logits.length);
  const normalizer = normalizerOf(logits, 'topLogProbabilities');
  return mostLikely(logits, count, normalizer, new Float64Array(logits.length));
}

/** Throws unless the count is whole and at most the vocabulary. */
export function expectCount(functionName: string, argument: string, count: number, vocabSize: number): void {
  expectWholeNumber(functionName, argument, count);
  if (count > vocabSize) {
    throw new ArgumentError({
      function: functionName,
      argument,
      expected: `at most ${vocabSize}, the number of tokens`,
      got: count,
    });
  }
}

/** {@link topLogProbabilities} of logits that have been checked; `scratch` holds V numbers or more. */
export function mostLikely(
  logits: Float32Array,
  count: number,
  normalizer: Normalizer,
  scratch: Float64Array,
): TokenLogprob[] {
  if (count === 0) return [];
  const vocabSize = logits.length;
  const threshold = kthLargest(logits, count, scratch);
  const tokens: TokenLogprob[] = [];
  let equalsLeft = count;
  for (let id = 0; id < vocabSize; id++) {
    if (logits[id]! > threshold) equalsLeft--;
  }
  for (let id = 0; id < vocabSize; id++) {
    const logit = logits[id]!;
    if (logit < threshold || logit === -Infinity) continue;
    if (logit === threshold && equalsLeft-- <= 0) continue;
    tokens.push({ id, logprob: logit - normalizer.largest - normalizer.logOfRest });
  }
  // Stable: equals keep the order of their ids.
  return tokens.sort((a, b) => b.logprob - a.logprob);
}
