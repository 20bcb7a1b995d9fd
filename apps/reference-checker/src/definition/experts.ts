import { type Arithmetic, stored, sumError } from './arithmetic.ts';
import type { StoredMatrix } from './decode.ts';
import { allocate, type Defined, linear, norm } from './define.ts';

/** The two experts of every token and their weights. */
export interface DefinedRouting {
  /** `[T, 2]` */
  readonly expertIds: Int32Array;
  readonly weights: Float64Array;
  readonly budget: Float64Array;
  /** Tokens where a choice lies so close that rounding may decide it. */
  readonly isOpen: readonly boolean[];
}

/**
 * The sparse mixer at inference, GRIN (arXiv:2409.12136): twice the largest score, its weight a softmax over the scores
 * within 2ε of it. The weights are not renormalised.
 */
export function routeTokens(scores: Defined, jitterEpsilon: number): DefinedRouting {
  const experts = scores.width;
  const numTokens = scores.exact.length / experts;
  const expertIds = new Int32Array(2 * numTokens);
  const weights = new Float64Array(2 * numTokens);
  const budget = new Float64Array(2 * numTokens);
  const isOpen: boolean[] = [];
  for (let token = 0; token < numTokens; token++) {
    const row = Array.from(scores.exact.subarray(token * experts, (token + 1) * experts));
    const error = Math.max(...scores.budget.subarray(token * experts, (token + 1) * experts)) + 2 ** -22;
    let open = false;
    for (let choice = 0; choice < 2; choice++) {
      const chosen = row.indexOf(Math.max(...row));
      const best = row[chosen]!;
      let total = 0;
      for (const score of row) {
        if (score === Number.NEGATIVE_INFINITY) continue;
        const distance = (best - score) / Math.max(Math.abs(score), best);
        if (Math.abs(distance - 2 * jitterEpsilon) * Math.max(Math.abs(score), Math.abs(best)) < 4 * error) open = true;
        if (!(distance > 2 * jitterEpsilon)) total += Math.exp(score - best);
      }
      const runnerUp = Math.max(...row.filter((_, expert) => expert !== chosen));
      if (best - runnerUp < 2 * error) open = true;
      expertIds[2 * token + choice] = chosen;
      weights[2 * token + choice] = 1 / total;
      budget[2 * token + choice] = 2 * error + 4 * stored;
      row[chosen] = Number.NEGATIVE_INFINITY;
    }
    isOpen.push(open);
  }
  return { expertIds, weights, budget, isOpen };
}

export interface ExpertDefinition {
  readonly w1: StoredMatrix;
  readonly w2: StoredMatrix;
  readonly w3: StoredMatrix;
}

/** `Σ weight · w2(silu(w1 x) ⊙ w3 x)` over the chosen experts. */
export async function runExperts(
  x: Float32Array,
  routing: DefinedRouting,
  expertAt: (expert: number) => Promise<ExpertDefinition>,
  width: number,
  arithmetic: Arithmetic,
): Promise<Defined> {
  const numTokens = x.length / width;
  const result = allocate(numTokens, width);
  for (const expert of [...new Set(routing.expertIds)].sort((a, b) => a - b)) {
    const choices = [...routing.expertIds.keys()].filter((i) => routing.expertIds[i] === expert);
    const rows = new Float32Array(choices.length * width);
    for (const [index, choice] of choices.entries()) {
      const token = Math.floor(choice / 2);
      rows.set(x.subarray(token * width, (token + 1) * width), index * width);
    }
    const { w1, w2, w3 } = await expertAt(expert);
    const gate = linear(rows, w1, undefined, arithmetic);
    const up = linear(rows, w3, undefined, arithmetic);
    const size = gate.width;
    const inner = new Float32Array(gate.exact.length);
    const innerError = new Float64Array(gate.exact.length);
    for (let i = 0; i < inner.length; i++) {
      const g = gate.exact[i]!;
      const u = up.exact[i]!;
      const silu = g / (1 + Math.exp(-g));
      inner[i] = silu * u;
      // silu has a slope of at most 1.1.
      innerError[i] =
        1.1 * gate.budget[i]! * Math.abs(u) +
        up.budget[i]! * Math.abs(silu) +
        (4 * stored + arithmetic.functions * (1 + Math.abs(g))) * Math.abs(silu * u);
    }
    const down = linear(inner, w2, undefined, arithmetic);
    const w = new Float32Array(size);
    const wNorms = new Float64Array(width);
    for (let o = 0; o < width; o++) {
      w2.decodeRow(o, w);
      wNorms[o] = norm(w, 0, size);
    }
    for (const [index, choice] of choices.entries()) {
      const token = Math.floor(choice / 2);
      const weight = routing.weights[choice]!;
      const carried = norm(innerError, index * size, size);
      for (let o = 0; o < width; o++) {
        const y = down.exact[index * width + o]!;
        result.exact[token * width + o]! += weight * y;
        result.budget[token * width + o]! +=
          weight * (down.budget[index * width + o]! + carried * wNorms[o]! + 4 * stored * Math.abs(y)) +
          routing.budget[choice]! * Math.abs(y) +
          sumError(arithmetic, 2) * Math.abs(y);
      }
    }
  }
  return result;
}
