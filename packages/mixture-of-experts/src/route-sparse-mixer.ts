import { ArgumentError, expectKnownOptions, expectShape, type FloatTensor, Phi3Error } from '@phiblocks/tensor';

/** How {@link routeSparseMixer} chooses. */
export interface SparseMixerOptions {
  /** Experts per token, k; 2 in the published checkpoint (`num_experts_per_tok`). */
  readonly expertsPerToken: number;
  /** Rivals further away than twice this share do not count; 0.01 in the published checkpoint (`router_jitter_noise`). */
  readonly jitterEpsilon: number;
}

/** Which experts each token goes to, first choice first, and with what weights. */
export interface SparseMixerRouting {
  readonly numTokens: number;
  readonly numExperts: number;
  readonly expertsPerToken: number;
  /** `[T, k]` */
  readonly expertIds: Int32Array;
  /** `[T, k]`; they do not sum to 1 */
  readonly weights: Float32Array;
}

/**
 * Routes tokens as the sparse mixer does at inference. For each of k choices in turn: the expert with the largest score m
 * among those not chosen yet, of equals the lowest; its weight is its softmax over the scores s that are not dropped by
 * `(m - s) / max(|s|, m) > 2 · jitterEpsilon`. Experts chosen before are out of the softmax too.
 *
 * The weights of a token are not normalised to a common sum: each is near 1 unless a rival is close.
 *
 * Source: SparseMixer-v2 in GRIN, arXiv:2409.12136; `sparsemixer` of transformers' modeling_phimoe.py, inference branch. Noise
 * exists in training only.
 *
 * @param scores - router output, float32 `[T, E]`
 * @throws ShapeError `SHAPE` when scores are no `[T, E]`
 * @throws ArgumentError `ARGUMENT` for a number of experts that is not between 1 and E, or an epsilon below 0
 * @throws Phi3Error `NUM_NAN` for a score that is not finite, `OPTION_UNKNOWN`
 * @example
 * const scores = { data: Float32Array.of(2, 1.98, 1, 0.99), shape: [1, 4] };
 * const routing = routeSparseMixer(scores, { expertsPerToken: 2, jitterEpsilon: 0.01 });
 * routing.expertIds; // => [0, 1]
 * routing.weights.map((weight) => Math.round(1000 * weight)); // => [505, 1000]
 */
export function routeSparseMixer(scores: FloatTensor, options: SparseMixerOptions): SparseMixerRouting {
  const name = 'routeSparseMixer';
  expectKnownOptions(name, options, ['expertsPerToken', 'jitterEpsilon']);
  const { expertsPerToken, jitterEpsilon } = options;
  expectShape(scores, [null, null], { function: name, argument: 'scores' });
  const [numTokens, numExperts] = scores.shape as [number, number];
  if (!Number.isInteger(expertsPerToken) || expertsPerToken < 1 || expertsPerToken > numExperts) {
    throw new ArgumentError({
      function: name,
      argument: 'options.expertsPerToken',
      expected: `a whole number from 1 to ${numExperts}`,
      got: expertsPerToken,
    });
  }
  if (!Number.isFinite(jitterEpsilon) || jitterEpsilon < 0) {
    throw new ArgumentError({
      function: name,
      argument: 'options.jitterEpsilon',
      expected: 'a finite number from 0 up',
      got: jitterEpsilon,
    });
  }
  const expertIds = new Int32Array(numTokens * expertsPerToken);
  const weights = new Float32Array(numTokens * expertsPerToken);
  const candidates = new Float32Array(numExperts);
  for (let token = 0; token < numTokens; token++) {
    const start = token * numExperts;
    for (let expert = 0; expert < numExperts; expert++) {
      const score = scores.data[start + expert]!;
      if (!Number.isFinite(score)) {
        throw new Phi3Error({
          code: 'NUM_NAN',
          function: name,
          argument: `scores[${token}, ${expert}]`,
          expected: 'a finite number',
          got: score,
          hint: 'Look for the first layer whose output is not finite',
        });
      }
      candidates[expert] = score;
    }
    for (let choice = 0; choice < expertsPerToken; choice++) {
      const chosen = indexOfLargest(candidates);
      expertIds[token * expertsPerToken + choice] = chosen;
      weights[token * expertsPerToken + choice] = weightOf(candidates, chosen, 2 * jitterEpsilon);
      candidates[chosen] = -Infinity;
    }
  }
  return { numTokens, numExperts, expertsPerToken, expertIds, weights };
}

/** The first of the largest numbers. */
function indexOfLargest(numbers: Float32Array): number {
  let best = 0;
  for (let i = 1; i < numbers.length; i++) if (numbers[i]! > numbers[best]!) best = i;
  return best;
}

/** The softmax at the largest candidate over those that lie within `threshold` of it; -Infinity marks one that is out. */
function weightOf(candidates: Float32Array, chosen: number, threshold: number): number {
  const largest = candidates[chosen]!;
  const limit = Math.fround(threshold);
  let total = 0;
  for (let expert = 0; expert < candidates.length; expert++) {
    const score = candidates[expert]!;
    if (score === -Infinity) continue;
    // In float32 like the published code: a ratio at the threshold falls to the same side. With all scores 0 it is 0 / 0;
    // NaN is not above the threshold, so nothing is dropped.
    const ratio = Math.fround(Math.fround(largest - score) / Math.max(Math.abs(score), largest));
    if (!(ratio > limit)) total += Math.exp(score - largest);
  }
  return 1 / total;
}
