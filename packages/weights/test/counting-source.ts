import type { ByteSource } from '../src/byte-source.ts';
import { createByteSource } from '../src/create-byte-source.ts';

/** A source that writes down what was asked of it. */
export interface CountingSource extends ByteSource {
  readonly reads: { offset: number; length: number }[];
  readonly bytesRead: number;
  readonly isClosed: boolean;
}

/**
 * Wraps bytes in a source that counts.
 *
 * @param sizeInBytes - for a file that goes on behind the bytes, with zeros that take no memory
 */
export function createCountingSource(
  bytes: Uint8Array,
  name = 'test.gguf',
  sizeInBytes = bytes.length,
): CountingSource {
  const inner = createByteSource(bytes, name);
  const reads: { offset: number; length: number }[] = [];
  let isClosed = false;
  return {
    name,
    sizeInBytes,
    reads,
    get bytesRead() {
      return reads.reduce((sum, { length }) => sum + length, 0);
    },
    get isClosed() {
      return isClosed;
    },
    async read(offset, length, into = new Uint8Array(length)) {
      if (offset < 0 || offset + length > sizeInBytes)
        throw new Error(`read of ${length} at ${offset} leaves the file`);
      reads.push({ offset, length });
      const present = Math.max(0, Math.min(length, bytes.length - offset));
      if (present > 0) await inner.read(offset, present, into.subarray(0, present));
      into.fill(0, present);
      return into;
    },
    async close() {
      isClosed = true;
    },
  };
}
