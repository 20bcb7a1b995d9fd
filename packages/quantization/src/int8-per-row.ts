import { ArgumentError, expectKnownOptions, expectShape, type FloatTensor } from '@phiblocks/tensor';
import type { Int8Activations } from './activations/dynamic-int8-activations.ts';
import type { Uint8Activations } from './activations/dynamic-uint8-activations.ts';
import { expectLength, expectRow } from './expect-row.ts';
import type { DequantizableMatrix } from './row-product.ts';
import { expectImportance, notFinite } from './row-quantizer.ts';

/** A matrix as signed bytes with one scale per row (output channel). `w = scale · quant` */
export interface Int8Matrix extends DequantizableMatrix {
  /** `[rows · columns]`, row-major, from −127 to 127. */
  readonly quants: Int8Array;
  /** One float32 per row. */
  readonly scales: Float32Array;
}

/** What {@link int8PerRow} may be told. */
export interface Int8PerRowOptions {
  /** Tries smaller scales too, which cut off the largest weights; never a larger squared error. */
  readonly search?: boolean | undefined;
  /** One number per column, how much its squared error counts; implies `search`. */
  readonly importance?: Float32Array | undefined;
  /** The name of the tensor, for messages. */
  readonly name?: string | undefined;
}

// With 127 codes on each side, cutting off the largest weight pays only for rows with far outliers.
const searchSteps = 32;
const smallestShare = 0.5;

/**
 * Quantizes each row of a matrix to int8 with a float32 scale of its own: largest magnitude / 127, or the best of 32 scales
 * from there down to half of it.
 *
 * Source: LLM.int8, arXiv:2208.07339 §2 (weights: one scale per output row).
 *
 * @param tensor - `[rows, columns]`, that is `[out, in]`
 * @param options - search and importance
 * @throws ShapeError `SHAPE` when the tensor is no matrix or `importance` has another length than the columns
 * @throws ArgumentError `ARGUMENT` for importance that is negative or not finite, or together with `search: false`
 * @throws Phi3Error `WEIGHT_NOT_FINITE` with row and column, `OPTION_UNKNOWN`
 * @example
 * const matrix = int8PerRow({ data: new Float32Array([1, -2, 0, 127, 12.7, 64]), shape: [2, 3] });
 * matrix.quants; // => [64, -127, 0, 127, 13, 64]
 * matrix.scales[1]; // => 1
 */
export function int8PerRow(tensor: FloatTensor, options: Int8PerRowOptions = {}): Int8Matrix {
  expectKnownOptions('int8PerRow', options, ['search', 'importance', 'name']);
  expectShape(tensor, [null, null], { function: 'int8PerRow', argument: 'tensor' });
  const [rows, columns] = tensor.shape as [number, number];
  const { importance, search = importance !== undefined } = options;
  expectImportance('int8PerRow', importance, columns);
  if (!search && importance !== undefined) {
    throw new ArgumentError({
      function: 'int8PerRow',
      argument: 'options.search',
      expected: 'true or nothing together with importance, which only a search can use',
      got: search,
    });
  }
  const quants = new Int8Array(rows * columns);
  const scales = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const values = tensor.data.subarray(row * columns, (row + 1) * columns);
    let largest = 0;
    for (let i = 0; i < columns; i++) {
      if (values[i]! - values[i]! !== 0) {
        throw notFinite({ function: 'int8PerRow', tensor: options.name, row }, i, values[i]!);
      }
      largest = Math.max(largest, Math.abs(values[i]!));
    }
    const scale = bestScale(values, largest / 127, search ? searchSteps : 1, importance);
    scales[row] = scale;
    if (scale === 0) continue;
    for (let i = 0; i < columns; i++) quants[row * columns + i] = quantOf(values[i]!, scale);
  }
  return {
    shape: [rows, columns],
    quants,
    scales,
    dequantizeRow(row, out) {
      expectRow('dequantizeRow', row, rows);
      expectLength('dequantizeRow', 'out', out.length, columns);
      const scale = scales[row]!;
      for (let i = 0; i < columns; i++) out[i] = scale * quants[row * columns + i]!;
    },
  };
}

function bestScale(values: Float32Array, widest: number, steps: number, importance: Float32Array | undefined): number {
  let best = Math.fround(widest);
  if (best === 0) return 0;
  let bestError = Number.POSITIVE_INFINITY;
  for (let step = 0; step < steps; step++) {
    const scale = Math.fround(widest * (1 - ((1 - smallestShare) * step) / steps));
    if (scale === 0) break;
    let error = 0;
    for (let i = 0; i < values.length && error < bestError; i++) {
      const difference = Math.fround(scale * quantOf(values[i]!, scale)) - values[i]!;
      error += (importance?.[i] ?? 1) * difference * difference;
    }
    if (error < bestError) {
      bestError = error;
      best = scale;
    }
  }
  return best;
}

/** Halves go up, which the definition leaves open. */
function quantOf(value: number, scale: number): number {
  return Math.max(-127, Math.min(127, Math.round(value / scale)));
}

/**
 * One element of `y = x · Wᵀ` with both sides in 8 bits: whole-number products, scaled by the row's and the activations'
 * scales.
 *
 * @param matrix - from {@link int8PerRow}
 * @param row - which output
 * @param activations - int8 with any group size, or uint8 with a zero point
 * @throws ArgumentError `ARGUMENT` for a row that does not exist
 * @throws ShapeError `SHAPE` when the activations have another length than the columns
 * @example
 * const matrix = int8PerRow({ data: new Float32Array([1, 2, 3, 4]), shape: [1, 4] });
 * int8RowProduct(matrix, 0, dynamicInt8Activations(new Float32Array([1, 1, 1, 1]), { groupSize: 'row' })); // => 10.0157480
 */
export function int8RowProduct(
  matrix: Int8Matrix,
  row: number,
  activations: Int8Activations | Uint8Activations,
): number {
  const [rows, columns] = matrix.shape;
  expectRow('int8RowProduct', row, rows);
  expectLength('int8RowProduct', 'activations', activations.length, columns);
  const { quants } = matrix;
  const first = row * columns;
  let total = 0;
  if ('zeroPoint' in activations) {
    for (let i = 0; i < columns; i++) total += quants[first + i]! * (activations.quants[i]! - activations.zeroPoint);
    total *= activations.scale;
  } else {
    const { groupSize, scales } = activations;
    for (let start = 0, group = 0; start < columns; start += groupSize, group++) {
      const end = Math.min(start + groupSize, columns);
      let sum = 0;
      for (let i = start; i < end; i++) sum += quants[first + i]! * activations.quants[i]!;
      total += scales[group]! * sum;
    }
  }
  return matrix.scales[row]! * total;
}
