import { constants } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { Phi3Error } from '@phiblocks/tensor';
import type { ByteSource } from '../byte-source.ts';
import type { WeightsErrorCode } from '../error-codes.ts';
import { fileError } from './file-error.ts';
import { fileSource, type OpenFile, openRegularFile } from './open-file-source.ts';

/** Which files of a folder may be opened although they are reached, or also reached, by another way. */
export interface ContainmentOptions {
  /**
   * Accept symbolic links into the `blobs` folder of a Hugging Face cache, for a folder
   * `models--owner--name/snapshots/<commit>` or one below it. Default: false.
   */
  allowCacheLinks?: boolean | undefined;
  /** Accept files that have a second name on the disk (hard links). Default: false. */
  allowHardLinks?: boolean | undefined;
}

/**
 * Opens a file of a folder, and only if it really lies in that folder once every link is followed. A checkpoint unpacked
 * from an archive may contain links to any file of the user.
 *
 * @param root - the folder, as `realpath` gives it
 * @param name - checked segments joined by `/`
 */
export async function openContainedFile(
  functionName: string,
  root: string,
  name: string,
  options: ContainmentOptions,
): Promise<ByteSource> {
  const path = join(root, ...name.split('/'));
  const real = await realPath(functionName, path);
  if (!isContained(real, root, options.allowCacheLinks ?? false)) {
    throw new Phi3Error<WeightsErrorCode>({
      code: 'IX_SYMLINK',
      function: functionName,
      expected: 'a file within the folder of the checkpoint',
      got: 'a link that leads out of it',
      where: { file: path },
      hint: 'For a folder of a Hugging Face cache, pass allowCacheLinks: true',
    });
  }
  // The path has no links left in it; should its last part become one now, opening fails.
  const file = await openRegularFile(functionName, real, constants.O_NOFOLLOW ?? 0);
  try {
    await expectSameFile(functionName, path, real, file);
    if (file.stamp.numHardLinks > 1n && !options.allowHardLinks) {
      throw new Phi3Error<WeightsErrorCode>({
        code: 'IX_HARD_LINK',
        function: functionName,
        expected: 'a file with one name on the disk',
        got: `${file.stamp.numHardLinks} names`,
        where: { file: path },
        hint: 'If the other names are yours, pass allowHardLinks: true',
      });
    }
  } catch (error) {
    await file.handle.close();
    throw error;
  }
  return fileSource(file, name);
}

/** The path with every link followed. */
export async function realPath(functionName: string, path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    throw fileError(error, functionName, path, 'FILE_READ');
  }
}

function isContained(real: string, root: string, allowCacheLinks: boolean): boolean {
  if (isWithin(real, root)) return true;
  if (!allowCacheLinks) return false;
  // The checkpoint may lie in a subfolder of its repository, `snapshots/<commit>/cpu/int4`.
  for (let folder = dirname(root); folder !== dirname(folder); folder = dirname(folder)) {
    if (basename(folder) === 'snapshots') return isWithin(real, join(dirname(folder), 'blobs'));
  }
  return false;
}

function isWithin(path: string, folder: string): boolean {
  return path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

/** Between the check and the opening a part of the path may have been exchanged; then another file was opened. */
async function expectSameFile(functionName: string, path: string, real: string, file: OpenFile): Promise<void> {
  const realNow = await realPath(functionName, path);
  const now = await stat(real, { bigint: true });
  if (realNow === real && now.dev === file.stamp.device && now.ino === file.stamp.inode) return;
  throw new Phi3Error<WeightsErrorCode>({
    code: 'FILE_CHANGED',
    function: functionName,
    expected: 'a path that stays the same while it is opened',
    got: 'another file under it',
    where: { file: path },
  });
}
