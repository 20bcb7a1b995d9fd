import { ArgumentError, ShapeError } from '@phiblocks/tensor';
import type { ExpertGroup } from './group-tokens-by-expert.ts';

/**
 * Adds one expert's outputs, times their weights, to the rows of its tokens. Called once per group, it builds the weighted
 * sum over the chosen experts; other rows are left alone.
 *
 * @param out - sums so far, `[T, C]`, zeros at first
 * @param expertOutput - what the expert gave for the tokens of the group, in their order, `[n, C]`
 * @param group - from `groupTokensByExpert`
 * @returns `out`
 * @throws ShapeError `SHAPE` when the outputs are no `[n, C]` or `out` is no `[T, C]`
 * @throws ArgumentError `ARGUMENT` for a token that has no row in `out`
 * @example
 * const group = { expert: 3, tokens: Int32Array.of(1), weights: Float32Array.of(0.5) };
 * combineExperts(new Float32Array(4), Float32Array.of(6, 8), group); // => [0, 0, 3, 4]
 */
export function combineExperts(out: Float32Array, expertOutput: Float32Array, group: ExpertGroup): Float32Array {
  const name = 'combineExperts';
  const { tokens, weights } = group;
  if (tokens.length === 0) return out;
  const width = expertOutput.length / tokens.length;
  if (!Number.isInteger(width) || weights.length !== tokens.length) {
    throw new ShapeError({
      function: name,
      argument: 'expertOutput',
      expected: `equal rows for ${tokens.length} tokens with ${tokens.length} weights`,
      got: [expertOutput.length, weights.length],
    });
  }
  if (width === 0) return out;
  if (out.length % width !== 0) {
    throw new ShapeError({ function: name, argument: 'out', expected: `rows of ${width}`, got: out.length });
  }
  for (let row = 0; row < tokens.length; row++) {
    const token = tokens[row]!;
    if (token < 0 || (token + 1) * width > out.length) {
      throw new ArgumentError({
        function: name,
        argument: `group.tokens[${row}]`,
        expected: `a row from 0 to ${out.length / width - 1}`,
        got: token,
      });
    }
    const weight = weights[row]!;
    const target = token * width;
    const source = row * width;
    for (let i = 0; i < width; i++) out[target + i]! += weight * expertOutput[source + i]!;
  }
  return out;
}
