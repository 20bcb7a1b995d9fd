import { ArgumentError, type FloatTensor, Phi3Error, ShapeError } from '@phiblocks/tensor';

/**
 * Sets the weights with the `count` lowest scores to zero; of equal scores at the limit those that come first.
 *
 * @param scores - one per weight of the range
 * @param first - where the range begins in `weights`
 * @internal
 */
export function zeroLowest(
  scores: Float32Array | Float64Array,
  count: number,
  weights: Float32Array,
  first: number,
): void {
  if (count === 0) return;
  const threshold = scores.slice().sort()[count - 1]!;
  let ties = count;
  for (let i = 0; i < scores.length; i++) if (scores[i]! < threshold) ties--;
  for (let i = 0; i < scores.length; i++) {
    if (scores[i]! < threshold || (scores[i]! === threshold && ties-- > 0)) weights[first + i] = 0;
  }
}

/** Rejects NaN and infinities, which have no rank. @internal */
export function expectFiniteWeights(functionName: string, weights: FloatTensor): void {
  const bad = weights.data.findIndex((weight) => !Number.isFinite(weight));
  if (bad >= 0) {
    throw new Phi3Error({
      code: 'WEIGHT_NOT_FINITE',
      function: functionName,
      argument: 'weights',
      expected: 'finite numbers',
      got: weights.data[bad],
      where: { key: `element ${bad}` },
    });
  }
}

/** @internal */
export function expectFraction(functionName: string, fraction: number): void {
  if (!(fraction >= 0 && fraction <= 1)) {
    throw new ArgumentError({
      function: functionName,
      argument: 'fraction',
      expected: 'a number from 0 to 1',
      got: fraction,
    });
  }
}

/** @internal */
export function expectInputNorms(functionName: string, inputNorms: Float32Array, columns: number): void {
  const place = { function: functionName, argument: 'inputNorms' };
  if (inputNorms.length !== columns) {
    throw new ShapeError({ ...place, expected: `${columns} elements, one per column`, got: inputNorms.length });
  }
  const bad = inputNorms.findIndex((norm) => !(norm >= 0 && norm < Number.POSITIVE_INFINITY));
  if (bad >= 0) {
    throw new ArgumentError({
      ...place,
      expected: 'finite numbers from 0 up',
      got: inputNorms[bad],
      where: { key: `[${bad}]` },
    });
  }
}

/** A copy of the weights in `out`, which may be `weights` itself. @internal */
export function copyWeights(functionName: string, weights: FloatTensor, out: FloatTensor | undefined): FloatTensor {
  if (out === undefined) return { data: weights.data.slice(), shape: weights.shape };
  const fits =
    out.data.length === weights.data.length &&
    out.shape.length === weights.shape.length &&
    out.shape.every((dimension, axis) => dimension === weights.shape[axis]);
  if (!fits) {
    throw new ShapeError({
      function: functionName,
      argument: 'out',
      expected: `shape [${weights.shape.join(', ')}]`,
      got: out.shape,
    });
  }
  if (out.data !== weights.data) out.data.set(weights.data);
  return out;
}
