import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { ByteSink } from '../safetensors/write-safetensors.ts';
import { fileError } from './file-error.ts';

/** Node refuses to write more than 2^31 - 1 bytes in one call. */
const largestWriteInBytes = 2 ** 30;

/**
 * Writes a file whole or not at all: into a new file beside the target, flushed to the disk and then renamed over it. So a
 * reader never sees half a file, and a failure leaves the target as it was and nothing beside it.
 *
 * @param functionName - the public function, for errors
 * @param write - gives the bytes in order and returns how many there were
 * @throws Phi3Error `DISK_FULL`, `FILE_NOT_FOUND` for a missing folder, `FILE_WRITE` with the system's error as cause; what
 * `write` throws passes as it is
 * @internal
 */
export async function writeFileAtomically(
  functionName: string,
  path: string,
  write: (sink: ByteSink) => Promise<number>,
): Promise<number> {
  /** Only what the system refuses becomes an error of the file. */
  const asFileError = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      throw fileError(error, functionName, path, 'FILE_WRITE');
    }
  };
  // In the same folder, because renaming is atomic only within a file system.
  const temporary = join(dirname(path), `.${basename(path)}.${crypto.randomUUID()}.tmp`);
  const handle = await asFileError(open(temporary, 'wx'));
  try {
    let sizeInBytes: number;
    try {
      sizeInBytes = await write({ write: (bytes) => asFileError(writeWhole(handle, bytes)) });
      await asFileError(handle.sync());
    } finally {
      await handle.close();
    }
    await asFileError(rename(temporary, path));
    await syncFolder(dirname(path));
    return sizeInBytes;
  } catch (error) {
    await unlink(temporary).catch(() => {}); // The first error is the one to report.
    throw error;
  }
}

async function writeWhole(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const length = Math.min(largestWriteInBytes, bytes.byteLength - done);
    done += (await handle.write(bytes, done, length)).bytesWritten;
  }
}

/** Makes the new name last through a loss of power. Windows cannot open a folder; there the system sees to it. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch {
    // The file is complete under its name already; there is nothing to undo.
  }
}
