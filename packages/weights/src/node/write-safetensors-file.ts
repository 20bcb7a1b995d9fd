import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { ByteSink, TensorToWrite, WriteSafetensorsOptions } from '../safetensors/write-safetensors.ts';
import { writeSafetensors } from '../safetensors/write-safetensors.ts';
import { fileError } from './file-error.ts';

/** Node refuses to write more than 2^31 - 1 bytes in one call. */
const largestWriteInBytes = 2 ** 30;

/**
 * Writes a safetensors file whole or not at all, for Node: into a new file beside the target, flushed to the disk and then
 * renamed over it. So a reader never sees half a file, a failure leaves the target as it was, and the tensors may come from
 * the very file that is replaced.
 *
 * @param path - target; replaced when it exists
 * @param tensors - as for `writeSafetensors`
 * @param options - as for `writeSafetensors`
 * @returns the number of bytes written
 * @throws Phi3Error `DISK_FULL`, `FILE_NOT_FOUND` for a missing folder, `FILE_WRITE` with the system's error as cause, and
 * what `writeSafetensors` throws
 * @example
 * const tensors = [{ name: 'b', dtype: 'U8', shape: [2], bytes: new Uint8Array([1, 2]) }];
 * const sizeInBytes = await writeSafetensorsFile(`${folder}/two.safetensors`, tensors);
 * sizeInBytes; // => 66
 */
export async function writeSafetensorsFile(
  path: string,
  tensors: readonly TensorToWrite[],
  options: WriteSafetensorsOptions = {},
): Promise<number> {
  // In the same folder, because renaming is atomic only within a file system.
  const temporary = join(dirname(path), `.${basename(path)}.${crypto.randomUUID()}.tmp`);
  const handle = await open(temporary, 'wx').catch((error) => {
    throw fileError(error, 'writeSafetensorsFile', path, 'FILE_WRITE');
  });
  try {
    let sizeInBytes: number;
    try {
      sizeInBytes = await writeSafetensors(fileSink(handle, path), tensors, options);
      await asFileError(path, handle.sync());
    } finally {
      await handle.close();
    }
    await asFileError(path, rename(temporary, path));
    await syncFolder(dirname(path));
    return sizeInBytes;
  } catch (error) {
    await unlink(temporary).catch(() => {}); // The first error is the one to report.
    throw error;
  }
}

function fileSink(handle: FileHandle, path: string): ByteSink {
  return {
    async write(bytes) {
      for (let done = 0; done < bytes.byteLength; ) {
        const length = Math.min(largestWriteInBytes, bytes.byteLength - done);
        done += (await asFileError(path, handle.write(bytes, done, length))).bytesWritten;
      }
    },
  };
}

/** Only what the system refuses becomes an error of the file; what the tensors' own functions throw passes as it is. */
async function asFileError<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw fileError(error, 'writeSafetensorsFile', path, 'FILE_WRITE');
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
