import type { Kernel, Numbers } from './kernel-types.ts';

/**
 * Sparse-mixer routing of every row of scores: per pick the expert (even columns), then its weight (odd columns). A pick's
 * weight is the softmax over the scores left that lie within `2 · jitterEpsilon` of the best, relative to their size.
 *
 * Source: the model code published with Phi-3.5-MoE; GRIN, arXiv:2409.12136.
 */
export function routeExperts(this: Kernel, scores: Numbers, experts: number, jitterEpsilon: number) {
  const pick = Math.floor((this.thread.x + 0.5) / 2);
  let chosen = -1;
  let best = 0;
  // Picks come in falling order, the first of equals first, so the one before says which are taken.
  let chosenBefore = -1;
  let bestBefore = 0;
  for (let i = 0; i <= pick; i++) {
    chosenBefore = chosen;
    bestBefore = best;
    chosen = -1;
    for (let expert = 0; expert < experts; expert++) {
      const score = scores[this.thread.z][0][expert];
      let isLeft = 1;
      if (chosenBefore >= 0) {
        if (score > bestBefore) {
          isLeft = 0;
        }
        if (score === bestBefore && expert <= chosenBefore) {
          isLeft = 0;
        }
      }
      if (isLeft > 0) {
        if (chosen < 0) {
          chosen = expert;
          best = score;
        } else {
          if (score > best) {
            chosen = expert;
            best = score;
          }
        }
      }
    }
  }
  let result = chosen;
  if (this.thread.x - 2 * pick > 0.5) {
    let total = 0;
    for (let other = 0; other < experts; other++) {
      const score = scores[this.thread.z][0][other];
      let isLeft = 1;
      if (chosenBefore >= 0) {
        if (score > bestBefore) {
          isLeft = 0;
        }
        if (score === bestBefore && other <= chosenBefore) {
          isLeft = 0;
        }
      }
      // The published quotient (best - score) / size, without dividing by a size of 0.
      const size = Math.max(Math.abs(score), best);
      if (isLeft > 0) {
        if (best - score <= 2 * jitterEpsilon * size || best === score) {
          total = total + Math.exp(score - best);
        }
      }
    }
    result = 1 / total;
  }
  return result;
}

/** Rows of `x` by their numbers. */
export function gatherRows(this: Kernel, x: Numbers, rows: Numbers) {
  return x[rows[0][0][this.thread.z]][0][this.thread.x];
}

/** `sum`, plus the rows of one expert's result: row `places[token]` times `weights[token]`, where the place is not negative. */
export function addExpert(this: Kernel, sum: Numbers, result: Numbers, places: Numbers, weights: Numbers) {
  const place = places[0][0][this.thread.z];
  let value = sum[this.thread.z][0][this.thread.x];
  if (place >= 0) {
    value = value + weights[0][0][this.thread.z] * result[place][0][this.thread.x];
  }
  return value;
}
