import { ArgumentError, expectKnownOptions, expectShape, type FloatTensor } from '@phiblocks/tensor';
import { linear } from './linear.ts';

/**
 * Attention in which every query sees every key, without mask or cache: `softmax(scale · Q Kᵀ) V` per head.
 *
 * Source: arXiv:1706.03762 §3.2.1; CLIP's vision tower uses it.
 * Shapes: T tokens, H heads, D headDim.
 *
 * @param queries - `[T, H·D]`, the heads side by side
 * @param keys - `[S, H·D]`; S is any number from 1 up, in CLIP T
 * @param values - `[S, H·D]`
 * @param options - `numHeads`: H; `scale`: multiplies query · key, `1/√D` in CLIP
 * @returns `[T, H·D]`
 * @throws ShapeError `SHAPE`
 * @throws ArgumentError `ARGUMENT` when H does not divide the width, or `scale` is not finite
 * @throws Phi3Error `OPTION_UNKNOWN`
 * @example
 * const queries = { data: Float32Array.of(0), shape: [1, 1] };
 * const values = { data: Float32Array.of(2, 4), shape: [2, 1] };
 * fullAttention(queries, values, values, { numHeads: 1, scale: 1 }).data; // => [3]
 */
export function fullAttention(
  queries: FloatTensor,
  keys: FloatTensor,
  values: FloatTensor,
  options: { numHeads: number; scale: number },
): FloatTensor {
  expectKnownOptions('fullAttention', options, ['numHeads', 'scale']);
  const { numHeads, scale } = options;
  expectShape(queries, [null, null], { function: 'fullAttention', argument: 'queries' });
  const [numQueries, width] = queries.shape as readonly [number, number];
  expectShape(keys, [null, width], { function: 'fullAttention', argument: 'keys' });
  const numKeys = keys.shape[0]!;
  expectShape(values, [numKeys, width], { function: 'fullAttention', argument: 'values' });
  if (!Number.isInteger(numHeads) || numHeads < 1 || width % numHeads !== 0) {
    throw new ArgumentError({
      function: 'fullAttention',
      argument: 'options.numHeads',
      expected: `a divisor of ${width}`,
      got: numHeads,
    });
  }
  if (!Number.isFinite(scale)) {
    throw new ArgumentError({
      function: 'fullAttention',
      argument: 'options.scale',
      expected: 'a finite number',
      got: scale,
    });
  }
  if (numKeys === 0) {
    throw new ArgumentError({ function: 'fullAttention', argument: 'keys', expected: 'at least one key', got: 0 });
  }
  const headDim = width / numHeads;
  const attended = new Float32Array(numQueries * width);
  for (let head = 0; head < numHeads; head++) {
    const first = head * headDim;
    const scores = linear(columns(queries, first, headDim), { weight: columns(keys, first, headDim) }); //       [T, S]
    softmaxRows(scores, scale);
    const heads = linear(scores, { weight: transposed(columns(values, first, headDim)) }); //                    [T, D]
    for (let row = 0; row < numQueries; row++) {
      attended.set(heads.data.subarray(row * headDim, (row + 1) * headDim), row * width + first);
    }
  }
  return { data: attended, shape: [numQueries, width] };
}

/** Columns `first` to `first + count - 1` of every row. */
function columns({ data, shape }: FloatTensor, first: number, count: number): FloatTensor {
  const [numRows, width] = shape as readonly [number, number];
  const picked = new Float32Array(numRows * count);
  for (let row = 0; row < numRows; row++) {
    const from = row * width + first;
    picked.set(data.subarray(from, from + count), row * count);
  }
  return { data: picked, shape: [numRows, count] };
}

function transposed({ data, shape }: FloatTensor): FloatTensor {
  const [numRows, width] = shape as readonly [number, number];
  const turned = new Float32Array(data.length);
  for (let row = 0; row < numRows; row++) {
    for (let column = 0; column < width; column++) turned[column * numRows + row] = data[row * width + column]!;
  }
  return { data: turned, shape: [width, numRows] };
}

/** Replaces every row by the softmax of `scale` times it. The greatest score is subtracted first, so exp cannot overflow. */
function softmaxRows({ data, shape }: FloatTensor, scale: number): void {
  const [numRows, width] = shape as readonly [number, number];
  for (let row = 0; row < numRows; row++) {
    const start = row * width;
    let greatest = -Infinity;
    for (let i = start; i < start + width; i++) greatest = Math.max(greatest, scale * data[i]!);
    let sum = 0;
    for (let i = start; i < start + width; i++) {
      data[i] = Math.exp(scale * data[i]! - greatest);
      sum += data[i]!;
    }
    for (let i = start; i < start + width; i++) data[i]! /= sum;
  }
}
