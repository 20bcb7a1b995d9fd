import { Phi3Error } from '@phiblocks/tensor';
import { allocateBytes } from './allocate.ts';
import { type ByteSource, expectReadable } from './byte-source.ts';

/**
 * A {@link ByteSource} over bytes in memory. The bytes are not copied when the source is made; every read copies its range,
 * so that what is read belongs to the caller as it does with a file.
 *
 * @param bytes - the whole file
 * @param name - its name for messages
 * @example
 * const source = createByteSource(new Uint8Array([1, 2, 3, 4]), 'four.bin');
 * await source.read(1, 2); // => [2, 3]
 */
export function createByteSource(bytes: Uint8Array, name: string): ByteSource {
  // A transferred or shrunk buffer shows as a view of another length.
  const sizeInBytes = bytes.byteLength;
  const file = { name, sizeInBytes };
  let isClosed = false;
  return {
    ...file,
    async read(offset, length, into) {
      if (isClosed) throw closedError(name);
      expectReadable(file, offset, length, into);
      if (bytes.byteLength !== sizeInBytes) throw changedError(name, `${bytes.byteLength} bytes`, sizeInBytes);
      const out = into ?? allocateBytes(length, { file: name });
      out.set(bytes.subarray(offset, offset + length));
      return out;
    },
    async close() {
      isClosed = true;
    },
  };
}

/** A read after `close`. */
export function closedError(name: string): Phi3Error {
  return new Phi3Error({ code: 'FILE_CLOSED', function: 'read', expected: 'an open file', where: { file: name } });
}

/** A file that is no longer what it was when it was opened. */
export function changedError(name: string, got: string, sizeInBytes: number, cause?: unknown): Phi3Error {
  return new Phi3Error({
    code: 'FILE_CHANGED',
    function: 'read',
    expected: `the file as it was opened, with ${sizeInBytes} bytes`,
    got,
    where: { file: name },
    hint: 'Open it again once nothing writes to it',
    cause,
  });
}
