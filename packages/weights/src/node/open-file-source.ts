import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { expectKnownOptions, Phi3Error } from '@phiblocks/tensor';
import { allocateBytes } from '../allocate.ts';
import { type ByteSource, expectReadable } from '../byte-source.ts';
import { changedError, closedError } from '../create-byte-source.ts';
import type { WeightsErrorCode } from '../error-codes.ts';
import { fileError } from './file-error.ts';

/** What identifies the content of an open file. */
export interface FileStamp {
  readonly device: bigint;
  readonly inode: bigint;
  readonly sizeInBytes: number;
  readonly modifiedNs: bigint;
  readonly numHardLinks: bigint;
}

export interface OpenFile {
  readonly handle: FileHandle;
  readonly stamp: FileStamp;
}

/** A system call reads at most 2^31 - 4096 bytes on Linux and Node refuses more than 2^31 - 1, so larger reads go in pieces. */
const largestReadInBytes = 2 ** 30;

/**
 * A {@link ByteSource} over a file on disk, for Node. Files over 4 GB work, and so do reads over 2 GiB where the engine
 * allows an array of that size.
 *
 * Each read is followed by a look at the size and the time of change of the open file, so that a file which was written to
 * or shortened in the meantime is an error and never a mixture of two versions. A write that leaves the size and falls into
 * the clock tick in which the file was opened cannot be noticed so. A file replaced by renaming another over it stays
 * readable as it was.
 *
 * @param path - of a regular file; a symbolic link is followed
 * @param options - `name` for messages; default: the last part of the path
 * @throws Phi3Error `FILE_NOT_FOUND`, `FILE_NOT_REGULAR`, or `FILE_READ` with the system's error as cause
 * @example
 * const weights = await openSafetensors(await openFileSource(`${folder}/model.safetensors`));
 * weights.tensors.get('a').format; // => 'F32'
 * await weights.close();
 */
export async function openFileSource(path: string, options: { name?: string | undefined } = {}): Promise<ByteSource> {
  expectKnownOptions('openFileSource', options, ['name']);
  return fileSource(await openRegularFile('openFileSource', path), options.name ?? basename(path));
}

/** Opens a file that is one: a pipe would wait for its writer forever, a device may have no end. */
export async function openRegularFile(functionName: string, path: string, flags = 0): Promise<OpenFile> {
  try {
    if (!(await stat(path)).isFile()) throw notRegular(functionName, path);
    // Not to wait if the path has become a pipe since.
    const handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | flags);
    try {
      const stats = await handle.stat({ bigint: true });
      if (!stats.isFile()) throw notRegular(functionName, path);
      return { handle, stamp: stampOf(stats) };
    } catch (error) {
      await handle.close();
      throw error;
    }
  } catch (error) {
    throw fileError(error, functionName, path, 'FILE_READ');
  }
}

function notRegular(functionName: string, path: string): Phi3Error {
  return new Phi3Error<WeightsErrorCode>({
    code: 'FILE_NOT_REGULAR',
    function: functionName,
    expected: 'a regular file',
    got: 'something else',
    where: { file: path },
  });
}

function stampOf(stats: { dev: bigint; ino: bigint; size: bigint; mtimeNs: bigint; nlink: bigint }): FileStamp {
  return {
    device: stats.dev,
    inode: stats.ino,
    sizeInBytes: Number(stats.size),
    modifiedNs: stats.mtimeNs,
    numHardLinks: stats.nlink,
  };
}

/** The byte source of an open file; it owns the handle. */
export function fileSource({ handle, stamp }: OpenFile, name: string): ByteSource {
  const file = { name, sizeInBytes: stamp.sizeInBytes };
  let isClosed = false;
  return {
    ...file,
    async read(offset, length, into) {
      if (isClosed) throw closedError(name);
      expectReadable(file, offset, length, into);
      const out = into ?? allocateBytes(length, { file: name });
      try {
        const numBytes = await readFully(handle, offset, out, largestReadInBytes);
        // After the read, so that a change before it and one during it are both noticed.
        const now = stampOf(await handle.stat({ bigint: true }));
        if (now.sizeInBytes !== stamp.sizeInBytes) {
          throw changedError(name, `${now.sizeInBytes} bytes`, stamp.sizeInBytes);
        }
        if (now.modifiedNs !== stamp.modifiedNs) throw changedError(name, 'a later change', stamp.sizeInBytes);
        if (numBytes !== length) throw changedError(name, `${numBytes} of ${length} bytes`, stamp.sizeInBytes);
      } catch (error) {
        throw fileError(error, 'read', name, 'FILE_READ');
      }
      return out;
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      await handle.close();
    },
  };
}

/** Fills `into` from `offset` in as many reads as it takes. Returns how many bytes there were. */
export async function readFully(
  handle: {
    read(into: Uint8Array, start: number, length: number, position: number): Promise<{ bytesRead: number }>;
  },
  offset: number,
  into: Uint8Array,
  largestRead: number,
): Promise<number> {
  let done = 0;
  while (done < into.byteLength) {
    const length = Math.min(largestRead, into.byteLength - done);
    const { bytesRead } = await handle.read(into, done, length, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}
