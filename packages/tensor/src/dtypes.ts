import { bfloat16ToFloat32, float32ToBfloat16 } from './bfloat16.ts';
import { ArgumentError, ShapeError } from './errors.ts';
import { float16ToFloat32, float32ToFloat16 } from './float16.ts';

/** The floating-point formats of published checkpoints, spelled as safetensors spells them. */
export type FloatDtype = 'F32' | 'F16' | 'BF16';

/**
 * Bytes of one element.
 *
 * @throws ArgumentError `ARGUMENT` for any other name
 * @example
 * bytesPerElement('BF16'); // => 2
 */
export function bytesPerElement(dtype: FloatDtype): number {
  if (dtype === 'F32') return 4;
  if (dtype === 'F16' || dtype === 'BF16') return 2;
  throw new ArgumentError({
    function: 'bytesPerElement',
    argument: 'dtype',
    expected: 'F32, F16 or BF16',
    got: dtype,
  });
}

/**
 * Reads little-endian elements as float32. Exact: every value of the three formats is a float32 value.
 *
 * @param bytes - little-endian elements; any alignment
 * @param dtype - their format
 * @param out - as long as there are elements; allocated when absent
 * @returns `out`
 * @throws ShapeError `SHAPE` when the bytes are not a whole number of elements or `out` has another length
 * @example
 * decodeFloats(new Uint8Array([0x80, 0x3f]), 'BF16'); // => [1]
 */
export function decodeFloats(bytes: Uint8Array, dtype: FloatDtype, out?: Float32Array): Float32Array {
  const size = bytesPerElement(dtype);
  const length = bytes.byteLength / size;
  if (!Number.isInteger(length)) {
    throw new ShapeError({
      function: 'decodeFloats',
      argument: 'bytes',
      expected: `a multiple of ${size} bytes for ${dtype}`,
      got: bytes.byteLength,
    });
  }
  const values = out ?? new Float32Array(length);
  if (values.length !== length) {
    throw new ShapeError({
      function: 'decodeFloats',
      argument: 'out',
      expected: `${length} elements`,
      got: values.length,
    });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (dtype === 'F32') {
    for (let i = 0; i < length; i++) values[i] = view.getFloat32(4 * i, true);
  } else if (dtype === 'F16') {
    for (let i = 0; i < length; i++) values[i] = float16ToFloat32(view.getUint16(2 * i, true));
  } else {
    for (let i = 0; i < length; i++) values[i] = bfloat16ToFloat32(view.getUint16(2 * i, true));
  }
  return values;
}

/**
 * Writes float32 values as little-endian elements, rounding to nearest, ties to even.
 *
 * @param values - float32 values
 * @param dtype - the format to write
 * @returns a new byte array of `values.length` elements
 * @example
 * encodeFloats(new Float32Array([1]), 'F16'); // => [0x00, 0x3c]
 */
export function encodeFloats(values: Float32Array, dtype: FloatDtype): Uint8Array {
  const size = bytesPerElement(dtype);
  const bytes = new Uint8Array(values.length * size);
  const view = new DataView(bytes.buffer);
  if (dtype === 'F32') {
    for (let i = 0; i < values.length; i++) view.setFloat32(4 * i, values[i]!, true);
  } else if (dtype === 'F16') {
    for (let i = 0; i < values.length; i++) view.setUint16(2 * i, float32ToFloat16(values[i]!), true);
  } else {
    for (let i = 0; i < values.length; i++) view.setUint16(2 * i, float32ToBfloat16(values[i]!), true);
  }
  return bytes;
}
