import { expectShape, type FloatTensor } from '@phiblocks/tensor';
import { copyWeights, expectFiniteWeights, expectFraction, expectInputNorms, zeroLowest } from './zero-lowest.ts';

/**
 * Zeroes, in every output row, the weights of lowest score |w| · (norm of the input column): a small weight on a loud input
 * outlives a larger one on a quiet input.
 *
 * Exactly floor(fraction · columns) weights of each row become zero; of equal scores the first ones. Weights are not
 * updated. In a model, prune layer after layer, and take the inputs of each from the layers already pruned.
 *
 * Source: Wanda, arXiv:2306.11695 §3; locuslab/wanda `lib/prune.py` (prune_wanda).
 *
 * @param weights - `[rows, columns]`, that is `[out, in]`
 * @param inputNorms - `[columns]`, the root of the mean square of each input over calibration text:
 * `createActivationStatistics(…).rootMeanSquares()`; a common factor does not matter
 * @param fraction - from 0 to 1
 * @param out - may be `weights`; allocated when absent
 * @returns `out`
 * @throws ShapeError `SHAPE` when shapes disagree
 * @throws ArgumentError `ARGUMENT` for a fraction outside 0 to 1 or a norm that is negative or not finite
 * @throws Phi3Error `WEIGHT_NOT_FINITE`
 * @example
 * const weights = { data: new Float32Array([1, 2, 3, 4]), shape: [2, 2] };
 * pruneWanda(weights, new Float32Array([10, 1]), 0.5).data; // => [1, 0, 3, 0]
 */
export function pruneWanda(
  weights: FloatTensor,
  inputNorms: Float32Array,
  fraction: number,
  out?: FloatTensor,
): FloatTensor {
  expectShape(weights, [null, null], { function: 'pruneWanda', argument: 'weights' });
  const [rows, columns] = weights.shape as [number, number];
  expectInputNorms('pruneWanda', inputNorms, columns);
  expectFraction('pruneWanda', fraction);
  expectFiniteWeights('pruneWanda', weights);
  const pruned = copyWeights('pruneWanda', weights, out);
  const scores = new Float64Array(columns);
  for (let row = 0; row < rows; row++) {
    const first = row * columns;
    for (let i = 0; i < columns; i++) scores[i] = Math.abs(pruned.data[first + i]!) * inputNorms[i]!;
    zeroLowest(scores, Math.floor(fraction * columns), pruned.data, first);
  }
  return pruned;
}
