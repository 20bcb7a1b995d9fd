import { expectShape, type FloatTensor } from '@phiblocks/tensor';
import { copyWeights, expectFiniteWeights, expectFraction, zeroLowest } from './zero-lowest.ts';

/**
 * Zeroes the weights of smallest magnitude, compared over the whole matrix.
 *
 * Exactly floor(fraction · size) weights become zero: of equal magnitudes at the limit the first ones. (The published code
 * zeroes everything up to a threshold, which with ties is more.) The matrix stays dense: pruning makes nothing smaller or
 * faster by itself.
 *
 * Source: locuslab/wanda `lib/prune.py` (prune_magnitude).
 *
 * @param weights - `[rows, columns]`
 * @param fraction - from 0 to 1
 * @param out - may be `weights`; allocated when absent
 * @returns `out`
 * @throws ShapeError `SHAPE` when the weights are no matrix or `out` has another shape
 * @throws ArgumentError `ARGUMENT` for a fraction outside 0 to 1
 * @throws Phi3Error `WEIGHT_NOT_FINITE`
 * @example
 * pruneByMagnitude({ data: new Float32Array([1, -4, 3, -2]), shape: [2, 2] }, 0.5).data; // => [0, -4, 3, 0]
 */
export function pruneByMagnitude(weights: FloatTensor, fraction: number, out?: FloatTensor): FloatTensor {
  expectShape(weights, [null, null], { function: 'pruneByMagnitude', argument: 'weights' });
  expectFraction('pruneByMagnitude', fraction);
  expectFiniteWeights('pruneByMagnitude', weights);
  const pruned = copyWeights('pruneByMagnitude', weights, out);
  const scores = pruned.data.map(Math.abs);
  zeroLowest(scores, Math.floor(fraction * scores.length), pruned.data, 0);
  return pruned;
}
