import {
  applyRotary,
  createRotaryTable,
  crossesBoundary,
  type FactorList,
  type RopePolicy,
  selectFactorList,
} from '@phiblocks/longrope';
import { rotaryConfigOf } from '@phiblocks/runtime';
import type { ModelConfig } from '@phiblocks/weights';

/** What one policy does when a sequence of `length − 1` cached tokens takes one more. */
export interface PolicyStep {
  readonly policy: RopePolicy;
  /** The list with which the cached keys were rotated; for `rerotate`, with which they are rotated as they are read. */
  readonly keyList: FactorList;
  /** The list of the new token. */
  readonly queryList: FactorList;
  /** Whether the cache must be dropped and everything run again before this token. */
  readonly runsAgain: boolean;
}

/** The policies at a length, side by side. */
export function policySteps(config: ModelConfig, length: number, capacity: number): PolicyStep[] {
  const rotary = rotaryConfigOf(config);
  const policies: RopePolicy[] = ['reference', 'rerotate', 'capacity', 'short', 'long'];
  return policies.map((policy) => {
    const listAt = (tokens: number): FactorList =>
      selectFactorList(rotary, policy, policy === 'capacity' ? { length: tokens, capacity } : { length: tokens });
    const queryList = listAt(length);
    const runsAgain = crossesBoundary(rotary, policy, length - 1, length);
    return {
      policy,
      queryList,
      runsAgain,
      keyList: runsAgain || policy === 'rerotate' ? queryList : listAt(length - 1),
    };
  });
}

/** Scores of one query with keys at growing distances, as a share of the score at distance 0. */
export interface ScoreCurve {
  /** Tokens between key and query. */
  readonly distances: Int32Array;
  readonly scores: Float64Array;
}

/**
 * The score q · k of a query at `position` with keys before it, where both are all ones before they are rotated: what
 * RoPE does to a score, and nothing else. Divided by the score of two such vectors without rotation.
 *
 * @param keyList - the list of the keys; another one than the query's is what a cache across the boundary would hold
 */
export function scoreByDistance(
  config: ModelConfig,
  options: { position: number; queryList: FactorList; keyList: FactorList; maxDistance: number; numPoints: number },
): ScoreCurve {
  const { position, queryList, keyList, maxDistance, numPoints } = options;
  const rotary = rotaryConfigOf(config);
  const { headDim } = config;
  const distances = Int32Array.from({ length: numPoints }, (_, n) => Math.round((n * maxDistance) / (numPoints - 1)));
  const ones = (tokens: number) => ({ data: new Float32Array(tokens * headDim).fill(1), shape: [tokens, 1, headDim] });
  const queryTable = createRotaryTable(rotary, { start: position, length: 1, list: queryList });
  const keyPositions = distances.map((distance) => position - distance);
  const keyTable = createRotaryTable(rotary, { positions: keyPositions, list: keyList });
  const query = applyRotary(ones(1), queryTable).data;
  const keys = applyRotary(ones(numPoints), keyTable).data;
  const scores = Float64Array.from(distances, (_, n) => {
    let score = 0;
    for (let i = 0; i < headDim; i++) score += query[i]! * keys[n * headDim + i]!;
    return score / headDim;
  });
  return { distances, scores };
}
