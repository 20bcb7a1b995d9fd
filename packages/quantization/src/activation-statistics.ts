import { ArgumentError, type FloatTensor, Phi3Error, ShapeError } from '@phiblocks/tensor';
import { notFinite } from './row-quantizer.ts';

/** Sums over a calibration run what the inputs of one linear layer look like. */
export interface ActivationStatistics {
  readonly columns: number;
  /** Tokens seen so far. */
  readonly numTokens: number;
  /**
   * Adds the inputs of some tokens.
   *
   * @param activations - `[T, columns]`: what the layer multiplies with its weights
   */
  add(activations: FloatTensor): void;
  /** Per column the mean of x² over all tokens, float32: the `importance` of the quantizers. */
  meanSquares(): Float32Array;
  /** Per column the root of that mean: the `inputNorms` of Wanda. */
  rootMeanSquares(): Float32Array;
}

/**
 * Collects mean squares of activations per input column, as float64 sums. One for each linear layer (layers that read the
 * same input, such as the fused query-key-value projection, can share it); feed it from a model's `onTensor`.
 *
 * The squared error of a layer's output over the calibration text is, but for correlations between columns, the squared
 * error of its weights with these numbers as weights of the columns.
 *
 * @param columns - inputs of the layer
 * @throws ArgumentError `ARGUMENT` when `columns` is no whole number from 1 up
 * @throws ShapeError `SHAPE` from `add` when the activations are not `[T, columns]`
 * @throws Phi3Error `WEIGHT_NOT_FINITE` from `add`, which then has counted nothing; `STATISTICS_EMPTY` when asked before
 * any token was added
 * @example
 * const statistics = createActivationStatistics(2);
 * statistics.add({ data: new Float32Array([1, 2, 3, 4]), shape: [2, 2] });
 * statistics.meanSquares(); // => [5, 10]
 */
export function createActivationStatistics(columns: number): ActivationStatistics {
  if (!Number.isSafeInteger(columns) || columns < 1) {
    throw new ArgumentError({
      function: 'createActivationStatistics',
      argument: 'columns',
      expected: 'a whole number from 1 up',
      got: columns,
    });
  }
  const sums = new Float64Array(columns);
  let numTokens = 0;
  const means = (): Float64Array => {
    if (numTokens === 0) {
      throw new Phi3Error({
        code: 'STATISTICS_EMPTY',
        function: 'meanSquares',
        expected: 'at least one token of calibration text',
        got: 0,
      });
    }
    return sums.map((sum) => sum / numTokens);
  };
  return {
    columns,
    get numTokens() {
      return numTokens;
    },
    add({ data, shape }) {
      if (shape.length !== 2 || shape[1] !== columns || shape[0]! * columns !== data.length) {
        throw new ShapeError({
          function: 'add',
          argument: 'activations',
          expected: `shape [T, ${columns}]`,
          got: shape,
        });
      }
      const bad = data.findIndex((value) => !Number.isFinite(value));
      if (bad >= 0) throw notFinite({ function: 'add', row: Math.floor(bad / columns) }, bad % columns, data[bad]!);
      for (let i = 0; i < data.length; i++) sums[i % columns]! += data[i]! * data[i]!;
      numTokens += shape[0]!;
    },
    meanSquares: () => Float32Array.from(means()),
    rootMeanSquares: () => Float32Array.from(means(), Math.sqrt),
  };
}
