import {
  ArgumentError,
  encodeFloats,
  type FloatDtype,
  Phi3Error,
  ShapeError,
  type WeightFormat,
} from '@phiblocks/tensor';
import { blockFormatOf } from './block-formats.ts';
import { type BlockFormat, type BlockJob, createBlockJob, createQuantizedBlock } from './quantized-block.ts';

/** How to choose the scales of a block. */
export interface QuantizeOptions {
  /**
   * Looks for the scales whose weighted squared error is smallest, instead of taking them from the largest weight or the
   * range. Never worse in that error, block by block. Absent: true for the K formats and with `importance`, else false,
   * which gives llama.cpp's bytes for the formats of 32 weights.
   */
  readonly search?: boolean | undefined;
  /**
   * One number per column, how much its squared error counts; for example the mean of the squares of the activations that
   * the column is multiplied with. Absent: all alike.
   */
  readonly importance?: Float32Array | undefined;
}

/** Where a row comes from, for messages. @internal */
export interface RowPlace {
  readonly function: string;
  readonly tensor?: string | undefined;
  readonly row?: number | undefined;
}

/** Turns rows of one length into bytes; keeps the room it works in. @internal */
export type RowQuantizer = (values: Float32Array, from: number, bytes: Uint8Array, at: number, place: RowPlace) => void;

/** @internal */
export function createRowQuantizer(
  functionName: string,
  format: WeightFormat,
  columns: number,
  { search, importance }: QuantizeOptions,
): RowQuantizer {
  const layout = blockFormatOf(functionName, format);
  expectImportance(functionName, importance, columns);
  if (search === false && importance !== undefined) {
    throw new ArgumentError({
      function: functionName,
      argument: 'options.search',
      expected: 'true or nothing together with importance, which only a search can use',
      got: search,
    });
  }
  if (layout === undefined) return floatRowQuantizer(format as FloatDtype, columns);
  const job = createBlockJob(search ?? (importance !== undefined || layout.weightsPerBlock === 256));
  return (values, from, bytes, at, place) => {
    quantizeBlocks(format, layout, job, importance, columns, values, from, bytes, at, place);
  };
}

function quantizeBlocks(
  format: WeightFormat,
  layout: BlockFormat,
  job: BlockJob,
  importance: Float32Array | undefined,
  columns: number,
  values: Float32Array,
  from: number,
  bytes: Uint8Array,
  at: number,
  place: RowPlace,
): void {
  const { weightsPerBlock, bytesPerBlock } = layout;
  const block = createQuantizedBlock();
  for (let first = 0, target = at; first < columns; first += weightsPerBlock, target += bytesPerBlock) {
    for (let i = 0; i < weightsPerBlock; i++) {
      const value = values[from + first + i]!;
      // The difference is NaN for NaN and for both infinities.
      if (value - value !== 0) throw notFinite(place, first + i, value);
      job.x[i] = value;
    }
    if (importance !== undefined) takeImportance(layout, job, importance, first);
    layout.quantize(job, block);
    if (!Number.isFinite(block.d) || !Number.isFinite(block.m)) {
      throw new Phi3Error({
        code: 'SCALE_OVERFLOW',
        function: place.function,
        argument: 'values',
        expected: `weights small enough for the float16 scale of ${format}`,
        got: largestOf(job.x, weightsPerBlock),
        where: whereOf(place, first),
      });
    }
    layout.pack(block, bytes, target);
  }
}

function takeImportance(layout: BlockFormat, job: BlockJob, importance: Float32Array, first: number): void {
  const { weightsPerBlock, weightsPerGroup } = layout;
  for (let start = 0; start < weightsPerBlock; start += weightsPerGroup) {
    let sum = 0;
    for (let i = start; i < start + weightsPerGroup; i++) sum += job.importance[i] = importance[first + i]!;
    for (let i = start; i < start + weightsPerGroup; i++) job.searchWeights[i] = sum > 0 ? job.importance[i]! : 1;
  }
}

function floatRowQuantizer(dtype: FloatDtype, columns: number): RowQuantizer {
  return (values, from, bytes, at, place) => {
    const row = values.subarray(from, from + columns);
    for (let i = 0; i < columns; i++) {
      const value = row[i]!;
      if (value - value !== 0) throw notFinite(place, i, value);
      // The least magnitudes that round to infinity: half a step above the largest finite number.
      const limit = dtype === 'F16' ? 65520 : dtype === 'BF16' ? 2 ** 128 * (1 - 2 ** -9) : Number.POSITIVE_INFINITY;
      if (Math.abs(value) >= limit) {
        throw new Phi3Error({
          code: 'SCALE_OVERFLOW',
          function: place.function,
          argument: 'values',
          expected: `weights that ${dtype} can hold`,
          got: value,
          where: whereOf(place, i),
        });
      }
    }
    bytes.set(encodeFloats(row, dtype), at);
  };
}

/** Rejects importance that is not one finite number from 0 up per column. @internal */
export function expectImportance(functionName: string, importance: Float32Array | undefined, columns: number): void {
  if (importance === undefined) return;
  const place = { function: functionName, argument: 'options.importance' };
  if (importance.length !== columns) {
    throw new ShapeError({ ...place, expected: `${columns} elements, one per column`, got: importance.length });
  }
  for (let i = 0; i < columns; i++) {
    if (!(importance[i]! >= 0 && importance[i]! < Number.POSITIVE_INFINITY)) {
      throw new ArgumentError({
        ...place,
        expected: 'finite numbers from 0 up',
        got: importance[i],
        where: { key: `[${i}]` },
      });
    }
  }
}

/** The error for a NaN or an infinity among the weights. @internal */
export function notFinite(place: RowPlace, column: number, value: number): Phi3Error {
  return new Phi3Error({
    code: 'WEIGHT_NOT_FINITE',
    function: place.function,
    argument: 'values',
    expected: 'finite numbers',
    got: value,
    where: whereOf(place, column),
  });
}

function whereOf({ tensor, row }: RowPlace, column: number): { tensor?: string; key: string } {
  const key = row === undefined ? `column ${column}` : `row ${row}, column ${column}`;
  return tensor === undefined ? { key } : { tensor, key };
}

function largestOf(x: Float64Array, count: number): number {
  let largest = 0;
  for (let i = 0; i < count; i++) if (Math.abs(x[i]!) > Math.abs(largest)) largest = x[i]!;
  return largest;
}
