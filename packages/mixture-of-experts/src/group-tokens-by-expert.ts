import { ArgumentError, ShapeError } from '@phiblocks/tensor';
import type { SparseMixerRouting } from './route-sparse-mixer.ts';

/** The tokens that go to one expert. */
export interface ExpertGroup {
  readonly expert: number;
  /** Rows of the tokens, ascending, `[n]`. */
  readonly tokens: Int32Array;
  /** Their weights, `[n]`. */
  readonly weights: Float32Array;
}

/**
 * Turns a routing round: for each expert that any token chose, in ascending order, its tokens. So an expert's weights are
 * read once for all its tokens, and an expert that no token chose is not computed.
 *
 * @param routing - from `routeSparseMixer`
 * @throws ShapeError `SHAPE` when ids or weights are not `[T, k]`
 * @throws ArgumentError `ARGUMENT` for an expert that does not exist
 * @example
 * const scores = { data: Float32Array.of(9, 1, 5, 9, 5, 1), shape: [2, 3] };
 * const groups = groupTokensByExpert(routeSparseMixer(scores, { expertsPerToken: 2, jitterEpsilon: 0.01 }));
 * groups.map(({ expert, tokens }) => [expert, ...tokens]); // => [[0, 0, 1], [1, 1], [2, 0]]
 */
export function groupTokensByExpert(routing: SparseMixerRouting): ExpertGroup[] {
  const name = 'groupTokensByExpert';
  const { numTokens, numExperts, expertsPerToken, expertIds, weights } = routing;
  const numChoices = numTokens * expertsPerToken;
  if (expertIds.length !== numChoices || weights.length !== numChoices) {
    throw new ShapeError({
      function: name,
      argument: 'routing',
      expected: `${numChoices} ids and weights for ${numTokens} tokens with ${expertsPerToken} experts each`,
      got: [expertIds.length, weights.length],
    });
  }
  // A counting sort by expert: where each group ends, then every choice to its place.
  const groupEnds = new Int32Array(numExperts);
  for (let choice = 0; choice < numChoices; choice++) {
    const expert = expertIds[choice]!;
    if (expert < 0 || expert >= numExperts) {
      throw new ArgumentError({
        function: name,
        argument: `routing.expertIds[${choice}]`,
        expected: `an expert from 0 to ${numExperts - 1}`,
        got: expert,
      });
    }
    groupEnds[expert]!++;
  }
  for (let expert = 1; expert < numExperts; expert++) groupEnds[expert]! += groupEnds[expert - 1]!;
  const sortedTokens = new Int32Array(numChoices);
  const sortedWeights = new Float32Array(numChoices);
  const groupStarts = groupEnds.slice();
  // From the back, so that tokens of a group stay in ascending order while its start moves down.
  for (let choice = numChoices - 1; choice >= 0; choice--) {
    const place = --groupStarts[expertIds[choice]!]!;
    sortedTokens[place] = Math.floor(choice / expertsPerToken);
    sortedWeights[place] = weights[choice]!;
  }
  const groups: ExpertGroup[] = [];
  for (let expert = 0; expert < numExperts; expert++) {
    const [start, end] = [groupStarts[expert]!, groupEnds[expert]!];
    if (start === end) continue;
    groups.push({ expert, tokens: sortedTokens.subarray(start, end), weights: sortedWeights.subarray(start, end) });
  }
  return groups;
}
