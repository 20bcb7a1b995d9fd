import { expectKnownOptions } from '@phiblocks/tensor';
import { expectTensorBytes, layOutSafetensors, type SafetensorsMetadata, type TensorDescription } from './layout.ts';

/** Takes bytes in order. They may be reused by the caller once the promise has settled. */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<void>;
}

/** A tensor to write: what it is, and its little-endian bytes or how to get them when it is their turn. */
export interface TensorToWrite extends TensorDescription {
  readonly bytes: Uint8Array | (() => Uint8Array | Promise<Uint8Array>);
}

/** A tensor whose bytes are at hand. */
export interface TensorInMemory extends TensorDescription {
  readonly bytes: Uint8Array;
}

export interface WriteSafetensorsOptions {
  /** Strings for `__metadata__`. */
  metadata?: SafetensorsMetadata | undefined;
}

/**
 * Writes a safetensors file piece by piece. Every description is checked before the first byte goes out; bytes are asked
 * for one tensor at a time, so memory stays at the header and the largest tensor.
 *
 * The same tensors give the same file in whatever order they are listed: largest elements first, then by name, the header
 * padded to a multiple of 8 bytes, as the reference implementation writes.
 *
 * @param sink - takes the bytes in order
 * @param tensors - descriptions, each with its bytes or a function that gives them
 * @returns the number of bytes written
 * @throws ArgumentError `ARGUMENT` for a name that is taken, reserved, too long or not text, an unknown dtype, or metadata
 * that is not strings
 * @throws ShapeError `SHAPE` for an impossible shape, or bytes that are not as many as dtype and shape need
 * @example
 * const pieces = [];
 * const sink = { write: async (bytes) => void pieces.push(bytes.slice()) };
 * const bytes = async () => encodeFloats(new Float32Array([1, 2]), 'BF16');
 * await writeSafetensors(sink, [{ name: 'norm.weight', dtype: 'BF16', shape: [2], bytes }]); // => 84
 * pieces[1]; // => [0x80, 0x3f, 0x00, 0x40]
 */
export async function writeSafetensors(
  sink: ByteSink,
  tensors: readonly TensorToWrite[],
  options: WriteSafetensorsOptions = {},
): Promise<number> {
  expectKnownOptions('writeSafetensors', options, ['metadata']);
  const layout = layOutSafetensors('writeSafetensors', tensors, options.metadata);
  for (const { tensor, sizeInBytes } of layout.tensors) {
    if (typeof tensor.bytes !== 'function') expectTensorBytes('writeSafetensors', tensor, sizeInBytes, tensor.bytes);
  }
  await sink.write(layout.header);
  for (const { tensor, sizeInBytes } of layout.tensors) {
    const bytes = typeof tensor.bytes === 'function' ? await tensor.bytes() : tensor.bytes;
    expectTensorBytes('writeSafetensors', tensor, sizeInBytes, bytes);
    if (sizeInBytes > 0) await sink.write(bytes);
  }
  return layout.sizeInBytes;
}

/**
 * A whole safetensors file in memory. For files that fit; see {@link writeSafetensors} for the others.
 *
 * @throws ArgumentError `ARGUMENT` and ShapeError `SHAPE` as {@link writeSafetensors}
 * @example
 * const bytes = encodeSafetensors([{ name: 'a', dtype: 'U8', shape: [3], bytes: new Uint8Array([1, 2, 3]) }]);
 * bytes.slice(-3); // => [1, 2, 3]
 */
export function encodeSafetensors(
  tensors: readonly TensorInMemory[],
  options: WriteSafetensorsOptions = {},
): Uint8Array {
  expectKnownOptions('encodeSafetensors', options, ['metadata']);
  const layout = layOutSafetensors('encodeSafetensors', tensors, options.metadata);
  for (const { tensor, sizeInBytes } of layout.tensors) {
    expectTensorBytes('encodeSafetensors', tensor, sizeInBytes, tensor.bytes);
  }
  const file = new Uint8Array(layout.sizeInBytes);
  file.set(layout.header);
  let offset = layout.header.length;
  for (const { tensor } of layout.tensors) {
    file.set(tensor.bytes, offset);
    offset += tensor.bytes.length;
  }
  return file;
}
