import { ArgumentError, expectKnownOptions } from '@phiblocks/tensor';
import { notFinite } from '../row-quantizer.ts';

/** Activations of one token as signed bytes, a scale per group. `x ≈ scale · quant` */
export interface Int8Activations {
  readonly length: number;
  /** How many neighbours share a scale; the last group may be shorter. */
  readonly groupSize: number;
  readonly quants: Int8Array;
  /** One float32 per group. */
  readonly scales: Float32Array;
  /** The sum of the quants of each group: what a weight format with a minimum multiplies with that minimum. */
  readonly sums: Int32Array;
}

/** What {@link dynamicInt8Activations} may be told. */
export interface Int8ActivationsOptions {
  /** 32, as the block formats and the kernels want it, when absent; `'row'` for one scale for all. */
  readonly groupSize?: number | 'row' | undefined;
}

/**
 * Quantizes activations to int8 at run time: each group is scaled by its own largest magnitude over 127.
 *
 * Every operation is rounded to float32: scale = largest / 127, quant = x · (127 / largest), the latter to the nearest whole
 * number, ties to even, as the SIMD instruction does; so a kernel can be compared bit by bit. A group whose largest magnitude
 * is so small (below 4e-37) that the quotient is infinite becomes all zero, its scale too.
 *
 * Source: LLM.int8, arXiv:2208.07339 §2 (absmax); llama.cpp's Q8_0 for groups of 32, except for its ties.
 *
 * @param x - float32 activations of one token
 * @param options - the size of a group
 * @throws Phi3Error `WEIGHT_NOT_FINITE` for a NaN or an infinity, `OPTION_UNKNOWN`
 * @throws ArgumentError `ARGUMENT` for a group size that is no whole number from 1 up
 * @example
 * const activations = dynamicInt8Activations(new Float32Array([1, -2, 0.5, 4]), { groupSize: 2 });
 * activations.quants; // => [64, -127, 16, 127]
 * activations.sums; // => [-63, 143]
 */
export function dynamicInt8Activations(x: Float32Array, options: Int8ActivationsOptions = {}): Int8Activations {
  expectKnownOptions('dynamicInt8Activations', options, ['groupSize']);
  const { length } = x;
  const groupSize = options.groupSize === 'row' ? Math.max(1, length) : (options.groupSize ?? 32);
  if (!Number.isSafeInteger(groupSize) || groupSize < 1) {
    throw new ArgumentError({
      function: 'dynamicInt8Activations',
      argument: 'options.groupSize',
      expected: "a whole number from 1 up, or 'row'",
      got: groupSize,
    });
  }
  const groups = Math.ceil(length / groupSize);
  const quants = new Int8Array(length);
  const scales = new Float32Array(groups);
  const sums = new Int32Array(groups);
  for (let group = 0; group < groups; group++) {
    const first = group * groupSize;
    const end = Math.min(first + groupSize, length);
    let largest = 0;
    for (let i = first; i < end; i++) {
      if (x[i]! - x[i]! !== 0) throw notFinite({ function: 'dynamicInt8Activations' }, i, x[i]!);
      largest = Math.max(largest, Math.abs(x[i]!));
    }
    const inverse = Math.fround(127 / largest);
    if (!Number.isFinite(inverse)) continue;
    let sum = 0;
    for (let i = first; i < end; i++) {
      const quant = roundTiesToEven(Math.fround(x[i]! * inverse));
      quants[i] = quant;
      sum += quant;
    }
    scales[group] = largest / 127;
    sums[group] = sum;
  }
  return { length, groupSize, quants, scales, sums };
}

/** The nearest whole number, and of two equally near ones the even one. @internal */
export function roundTiesToEven(value: number): number {
  // Adding 1.5 · 2^52 leaves no bits for a fraction, so the addition itself rounds as IEEE 754 does.
  return value + 6755399441055744 - 6755399441055744;
}
