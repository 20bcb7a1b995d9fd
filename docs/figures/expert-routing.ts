import { groupTokensByExpert, routeSparseMixer } from '@phiblocks/mixture-of-experts';

/** One choice of the sparse mixer for one token. */
export interface ExpertChoice {
  readonly expert: number;
  readonly weight: number;
  /** The experts of this choice's softmax: the chosen one, and rivals close enough to share its weight. */
  readonly rivals: readonly number[];
}

/** What the sparse mixer and the usual softmax routing make of the scores of one token. */
export interface RoutingComparison {
  readonly choices: readonly ExpertChoice[];
  /** Of the sparse mixer's weights. */
  readonly sum: number;
  /** The softmax over all experts, whose largest ones other mixtures take and normalise to a sum of 1. */
  readonly softmax: readonly number[];
}

/**
 * Routes one token. Which rivals share a weight is asked of the package by leaving one out at a time: a rival counts where
 * the weight changes without it.
 */
export function routeToken(
  scores: readonly number[],
  expertsPerToken: number,
  jitterEpsilon: number,
): RoutingComparison {
  const route = (some: readonly number[], count: number) =>
    routeSparseMixer(
      { data: Float32Array.from(some), shape: [1, some.length] },
      { expertsPerToken: count, jitterEpsilon },
    );
  const { expertIds, weights } = route(scores, expertsPerToken);
  const chosen = Array.from(expertIds);
  const choices = chosen.map((expert, choice) => {
    const before = chosen.slice(0, choice);
    const left = scores.map((_, id) => id).filter((id) => !before.includes(id));
    const rivals = left.filter((id) => {
      if (id === expert) return true;
      const without = left.filter((other) => other !== id).map((other) => scores[other]!);
      return route(without, 1).weights[0] !== weights[choice];
    });
    return { expert, weight: weights[choice]!, rivals };
  });
  const exponentials = scores.map((score) => Math.exp(score - Math.max(...scores)));
  const total = exponentials.reduce((a, b) => a + b);
  return {
    choices,
    sum: choices.reduce((sum, { weight }) => sum + weight, 0),
    softmax: exponentials.map((value) => value / total),
  };
}

/** Scores of a token for a few experts: the first leads by shares of its own score, as the threshold measures them. */
export function scoresWithLeads(numExperts: number, leadOfFirst: number, leadOfSecond: number): number[] {
  const first = 2;
  const second = first * (1 - leadOfFirst);
  const third = second * (1 - leadOfSecond);
  return Array.from({ length: numExperts }, (_, id) => [first, second, third][id] ?? third * 0.8 ** (id - 2));
}

/** What a batch of tokens costs in experts. */
export interface BatchRouting {
  /** Tokens of each expert. */
  readonly tokensOfExpert: readonly number[];
  /** Experts that any token chose: their weights are read. */
  readonly numExpertsRead: number;
  /** Rows that experts compute, over all experts. */
  readonly rows: number;
}

/**
 * Routes tokens whose scores come from a seed: as many standard normal numbers as a router with no preference would give.
 * Numbers of a trained router are not like that; what is to be seen is how soon every expert is needed.
 */
export function routeBatch(numTokens: number, numExperts: number, expertsPerToken: number, seed: number): BatchRouting {
  const random = normals(seed);
  const data = Float32Array.from({ length: numTokens * numExperts }, () => random());
  const routing = routeSparseMixer({ data, shape: [numTokens, numExperts] }, { expertsPerToken, jitterEpsilon: 0.01 });
  const groups = groupTokensByExpert(routing);
  const tokensOfExpert = new Array<number>(numExperts).fill(0);
  for (const { expert, tokens } of groups) tokensOfExpert[expert] = tokens.length;
  return { tokensOfExpert, numExpertsRead: groups.length, rows: numTokens * expertsPerToken };
}

/** Standard normal numbers from a seed: mulberry32, then Box and Muller. */
function normals(seed: number): () => number {
  let state = seed >>> 0;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
