import { allocateBytes } from './allocate.ts';
import { type ByteSource, expectReadable } from './byte-source.ts';
import { changedError, closedError } from './create-byte-source.ts';

/**
 * How much of a Blob is brought into memory at once: a read costs its own bytes and one piece of this size. Large enough
 * that the cost of a call does not count, small against a tensor of a real checkpoint.
 */
const pieceSizeInBytes = 64 * 2 ** 20;

/**
 * A {@link ByteSource} over a `Blob`, for example the `File` of a file input. It reads slices; the Blob never comes into
 * memory whole.
 *
 * @param blob - the whole file
 * @param name - its name for messages
 * @example
 * const source = createBlobSource(new Blob([new Uint8Array([1, 2, 3, 4])]), 'four.bin');
 * await source.read(1, 2); // => [2, 3]
 */
export function createBlobSource(blob: Blob, name: string): ByteSource {
  const sizeInBytes = blob.size;
  const file = { name, sizeInBytes };
  let isClosed = false;

  async function readPiece(offset: number, length: number): Promise<Uint8Array> {
    let piece: ArrayBuffer;
    try {
      piece = await blob.slice(offset, offset + length).arrayBuffer();
    } catch (cause) {
      // A browser refuses with NotReadableError when the file behind the Blob was changed or removed.
      throw changedError(name, 'a slice that cannot be read', sizeInBytes, cause);
    }
    if (piece.byteLength !== length) throw changedError(name, `${piece.byteLength} of ${length} bytes`, sizeInBytes);
    return new Uint8Array(piece);
  }

  return {
    ...file,
    async read(offset, length, into) {
      if (isClosed) throw closedError(name);
      expectReadable(file, offset, length, into);
      if (into === undefined && length <= pieceSizeInBytes) return readPiece(offset, length);
      const out = into ?? allocateBytes(length, { file: name });
      for (let start = 0; start < length; start += pieceSizeInBytes) {
        out.set(await readPiece(offset + start, Math.min(pieceSizeInBytes, length - start)), start);
      }
      return out;
    },
    async close() {
      isClosed = true;
    },
  };
}
