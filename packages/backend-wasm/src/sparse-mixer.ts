/**
 * Sparse-mixer routing of one token: per pick, the best score that is left, with the softmax over the scores that lie within
 * twice epsilon of it as weight. Weights are not normalised across picks.
 *
 * Source: the model code published with Phi-3.5-MoE; GRIN, arXiv:2409.12136.
 *
 * @param scores - one per expert; picked experts are set to -∞
 * @param experts - receives the indices picked
 * @param weights - receives their weights
 */
export function routeToken(
  scores: Float32Array,
  jitterEpsilon: number,
  experts: Int32Array,
  weights: Float32Array,
): void {
  const original = scores.slice();
  for (let pick = 0; pick < experts.length; pick++) {
    let expert = 0;
    for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[expert]!) expert = i;
    const best = scores[expert]!;
    let total = 0;
    for (let i = 0; i < scores.length; i++) {
      // The scale is the magnitude of the score itself, or the best one where that is larger. 0/0 drops nothing.
      const distance = (best - original[i]!) / Math.max(Math.abs(original[i]!), best);
      if (!(distance > 2 * jitterEpsilon)) total += Math.exp(scores[i]! - best);
    }
    experts[pick] = expert;
    weights[pick] = 1 / total;
    scores[expert] = Number.NEGATIVE_INFINITY;
  }
}
