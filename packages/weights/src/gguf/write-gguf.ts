import { expectKnownOptions } from '@phiblocks/tensor';
import type { ByteSink } from '../safetensors/write-safetensors.ts';
import { expectGgufTensorBytes, type GgufTensorDescription, layOutGguf } from './gguf-layout.ts';
import type { TypedGgufValue } from './gguf-value.ts';

/** A tensor to write: what it is, and its stored bytes or how to get them when it is their turn. */
export interface GgufTensorToWrite extends GgufTensorDescription {
  readonly bytes: Uint8Array | (() => Uint8Array | Promise<Uint8Array>);
}

/** A tensor whose bytes are at hand. */
export interface GgufTensorInMemory extends GgufTensorDescription {
  readonly bytes: Uint8Array;
}

/** What goes into a GGUF file. */
export interface GgufContents<T extends GgufTensorDescription = GgufTensorToWrite> {
  /** By key, each value with the type to store it as; written in this order. */
  readonly metadata: ReadonlyMap<string, TypedGgufValue>;
  /** Written in this order. */
  readonly tensors: readonly T[];
  /** Where tensors begin: at multiples of so many bytes. Default: `general.alignment` of the metadata, else 32. */
  readonly alignment?: number | undefined;
}

/**
 * Writes a GGUF file, version 3, piece by piece. Every description is checked before the first byte goes out; bytes are
 * asked for one tensor at a time, so memory stays at the header and the largest tensor. Nothing is converted: the bytes are
 * those of the tensor's format, row after row.
 *
 * What it writes, {@link openGguf} reads back value for value, and llama.cpp loads.
 *
 * Source: llama.cpp `gguf-py/gguf/gguf_writer.py`, `ggml/src/gguf.cpp`.
 *
 * @param sink - takes the bytes in order
 * @param contents - metadata and tensors
 * @returns the number of bytes written
 * @throws ArgumentError `ARGUMENT` for a name that is taken, too long or not text, an unknown format, a metadata value that
 * its type does not hold, or an alignment that is no power of two or contradicts the metadata
 * @throws ShapeError `SHAPE` for an impossible shape, rows that are no whole blocks, or bytes that are not as many as format
 * and shape need
 * @throws Phi3Error `OPTION_UNKNOWN`
 * @example
 * const pieces = [];
 * const sink = { write: async (bytes) => void pieces.push(bytes.slice()) };
 * const metadata = new Map([['general.architecture', { type: 'string', value: 'phi3' }]]);
 * const bytes = async () => encodeFloats(new Float32Array([1, 2]), 'F16');
 * const tensors = [{ name: 'output_norm.weight', format: 'F16', shape: [2], bytes }];
 * await writeGguf(sink, { metadata, tensors }); // => 160
 * pieces[1]; // => [0x00, 0x3c, 0x00, 0x40]
 */
export async function writeGguf(sink: ByteSink, contents: GgufContents): Promise<number> {
  expectKnownOptions('writeGguf', contents, ['metadata', 'tensors', 'alignment']);
  const { metadata, tensors, alignment } = contents;
  const layout = layOutGguf('writeGguf', metadata, tensors, alignment);
  for (const { tensor, sizeInBytes } of layout.tensors) {
    if (typeof tensor.bytes !== 'function') expectGgufTensorBytes('writeGguf', tensor, sizeInBytes, tensor.bytes);
  }
  await sink.write(layout.header);
  for (const { tensor, sizeInBytes, paddingInBytes } of layout.tensors) {
    const bytes = typeof tensor.bytes === 'function' ? await tensor.bytes() : tensor.bytes;
    expectGgufTensorBytes('writeGguf', tensor, sizeInBytes, bytes);
    await sink.write(bytes);
    if (paddingInBytes > 0) await sink.write(new Uint8Array(paddingInBytes));
  }
  return layout.sizeInBytes;
}

/**
 * A whole GGUF file in memory. For files that fit; see {@link writeGguf} for the others.
 *
 * @throws ArgumentError `ARGUMENT`, ShapeError `SHAPE` and Phi3Error `OPTION_UNKNOWN` as {@link writeGguf}
 * @example
 * const metadata = new Map([['phi3.block_count', { type: 'uint32', value: 32 }]]);
 * const gguf = await openGguf(createByteSource(encodeGguf({ metadata, tensors: [] }), 'small.gguf'));
 * gguf.metadata.getInteger('phi3.block_count'); // => 32
 */
export function encodeGguf(contents: GgufContents<GgufTensorInMemory>): Uint8Array {
  expectKnownOptions('encodeGguf', contents, ['metadata', 'tensors', 'alignment']);
  const { metadata, tensors, alignment } = contents;
  const layout = layOutGguf('encodeGguf', metadata, tensors, alignment);
  for (const { tensor, sizeInBytes } of layout.tensors) {
    expectGgufTensorBytes('encodeGguf', tensor, sizeInBytes, tensor.bytes);
  }
  const file = new Uint8Array(layout.sizeInBytes);
  file.set(layout.header);
  let offset = layout.header.length;
  for (const { tensor, sizeInBytes, paddingInBytes } of layout.tensors) {
    file.set(tensor.bytes, offset);
    offset += sizeInBytes + paddingInBytes;
  }
  return file;
}
