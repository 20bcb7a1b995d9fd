import { expectKnownOptions, ShapeError, type WeightFormat } from '@phiblocks/tensor';
import { createRowQuantizer, type QuantizeOptions } from './row-quantizer.ts';
import { expectWholeBlocks } from './row-size.ts';

/** What {@link quantizeRow} may be told. */
export interface QuantizeRowOptions extends QuantizeOptions {
  /** As many bytes as the row takes; allocated when absent. */
  readonly out?: Uint8Array | undefined;
}

/**
 * Quantizes one row to the bytes of a GGUF format.
 *
 * Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 without `search` give the bytes that llama.cpp gives, and so do F16, BF16 and F32. For the K
 * formats llama.cpp always searches scales, and its bytes differ from ours; without `search` theirs are taken from the range
 * here. With `search` or `importance`, no block has a larger weighted squared error than without.
 *
 * Source: llama.cpp `ggml/src/ggml-quants.c` (the functions whose names end in _ref).
 *
 * @param format - the format to write
 * @param values - float32 weights of one row, a whole number of blocks
 * @param options - search, importance of the columns, where to write
 * @returns the bytes, `rowSizeInBytes(format, values.length)` of them
 * @throws ShapeError `SHAPE` when the row is not a whole number of blocks, or `importance` or `out` has another length
 * @throws Phi3Error `WEIGHT_NOT_FINITE` for a NaN or an infinity, `SCALE_OVERFLOW` when weights are too large for a float16
 * scale, `OPTION_UNKNOWN`
 * @throws ArgumentError `ARGUMENT` for an unknown format, importance that is negative or not finite, or `importance`
 * together with `search: false`
 * @example
 * const values = Float32Array.from({ length: 32 }, (_, i) => i - 16);
 * const bytes = quantizeRow('Q4_0', values);
 * bytes.length; // => 18
 * // d = −16 / −8 = 2, float16 0x4000; code 0 means −16, code 8 means 0
 * bytes.subarray(0, 3); // => [0x00, 0x40, 0x80]
 */
export function quantizeRow(format: WeightFormat, values: Float32Array, options: QuantizeRowOptions = {}): Uint8Array {
  expectKnownOptions('quantizeRow', options, ['search', 'importance', 'out']);
  const sizeInBytes = expectWholeBlocks({ function: 'quantizeRow', argument: 'values' }, format, values.length);
  const quantize = createRowQuantizer('quantizeRow', format, values.length, options);
  const bytes = options.out ?? new Uint8Array(sizeInBytes);
  if (bytes.length !== sizeInBytes) {
    throw new ShapeError({
      function: 'quantizeRow',
      argument: 'options.out',
      expected: `${sizeInBytes} bytes for ${values.length} weights of ${format}`,
      got: bytes.length,
    });
  }
  quantize(values, 0, bytes, 0, { function: 'quantizeRow' });
  return bytes;
}
