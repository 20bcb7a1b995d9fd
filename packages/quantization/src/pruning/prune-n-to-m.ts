import { ArgumentError, expectKnownOptions, expectShape, type FloatTensor, ShapeError } from '@phiblocks/tensor';
import { copyWeights, expectFiniteWeights, expectInputNorms } from './zero-lowest.ts';

/** How {@link pruneNToM} chooses. */
export interface PruneNToMOptions {
  /** How many weights of each group become zero; 2 when absent. */
  readonly n?: number | undefined;
  /** Consecutive weights of a row that make a group; 4 when absent. */
  readonly m?: number | undefined;
  /** As in {@link pruneWanda}; scores are plain magnitudes when absent. */
  readonly inputNorms?: Float32Array | undefined;
  /** May be `weights`; allocated when absent. */
  readonly out?: FloatTensor | undefined;
}

/**
 * Zeroes n of every m consecutive input weights, those of lowest score; 2 of 4 is the pattern that hardware knows. Of equal
 * scores the first ones go.
 *
 * Source: arXiv:2104.08378 §3 (2:4); locuslab/wanda `lib/prune.py` (prune_n, prune_m).
 *
 * @param weights - `[rows, columns]`, columns a multiple of m
 * @param options - n, m and the scores
 * @returns `out`
 * @throws ShapeError `SHAPE` when shapes disagree or m does not divide the columns
 * @throws ArgumentError `ARGUMENT` unless 0 ≤ n ≤ m and m ≥ 1, whole numbers
 * @throws Phi3Error `WEIGHT_NOT_FINITE`, `OPTION_UNKNOWN`
 * @example
 * pruneNToM({ data: new Float32Array([1, -4, 3, 2, 5, 6, 7, 8]), shape: [1, 8] }).data; // => [0, -4, 3, 0, 0, 0, 7, 8]
 */
export function pruneNToM(weights: FloatTensor, options: PruneNToMOptions = {}): FloatTensor {
  expectKnownOptions('pruneNToM', options, ['n', 'm', 'inputNorms', 'out']);
  const { n = 2, m = 4, inputNorms } = options;
  expectShape(weights, [null, null], { function: 'pruneNToM', argument: 'weights' });
  const columns = weights.shape[1]!;
  if (!Number.isSafeInteger(m) || m < 1) {
    throw new ArgumentError({
      function: 'pruneNToM',
      argument: 'options.m',
      expected: 'a whole number from 1 up',
      got: m,
    });
  }
  if (!Number.isSafeInteger(n) || n < 0 || n > m) {
    throw new ArgumentError({
      function: 'pruneNToM',
      argument: 'options.n',
      expected: `a whole number from 0 to m = ${m}`,
      got: n,
    });
  }
  if (columns % m !== 0) {
    throw new ShapeError({
      function: 'pruneNToM',
      argument: 'weights',
      expected: `rows of a multiple of m = ${m} weights`,
      got: weights.shape,
    });
  }
  if (inputNorms !== undefined) expectInputNorms('pruneNToM', inputNorms, columns);
  expectFiniteWeights('pruneNToM', weights);
  const pruned = copyWeights('pruneNToM', weights, options.out);
  const scores = new Float64Array(m);
  for (let first = 0; first < pruned.data.length; first += m) {
    for (let i = 0; i < m; i++) {
      scores[i] = Math.abs(pruned.data[first + i]!) * (inputNorms?.[(first + i) % columns] ?? 1);
    }
    zeroLowestOfGroup(scores, n, pruned.data, first);
  }
  return pruned;
}

/** Groups are short and many: finding the lowest n times is faster than sorting, and needs no memory. */
function zeroLowestOfGroup(scores: Float64Array, n: number, weights: Float32Array, first: number): void {
  for (let taken = 0; taken < n; taken++) {
    let lowest = -1;
    for (let i = 0; i < scores.length; i++) {
      // A score of −1 marks a weight already taken.
      if (scores[i]! >= 0 && (lowest < 0 || scores[i]! < scores[lowest]!)) lowest = i;
    }
    scores[lowest] = -1;
    weights[first + lowest] = 0;
  }
}
