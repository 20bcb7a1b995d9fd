import { constants } from 'node:fs';
import {
  copyFile,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  statfs,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, posix, relative, resolve, sep } from 'node:path';
import { isPhi3Error, Phi3Error } from '@phiblocks/tensor';
import { openFileSource } from '@phiblocks/weights/node';
import type { HubErrorCode } from '../error-codes.ts';
import type { CacheStorage, PartialFile } from '../storage.ts';
import { createFileLock, type FileLockOptions } from './file-lock.ts';

/** What can be set about a cache in a folder. */
export interface NodeStorageOptions extends FileLockOptions {
  /** Instead of asking the file system, for tests. */
  readonly freeSpaceInBytes?: () => Promise<number | undefined>;
  /** Copy blobs into snapshots instead of linking to them. Default: only where links are impossible. */
  readonly copies?: boolean;
}

/**
 * The cache as a folder, in the layout of Python's huggingface_hub. Nothing is made before something is written.
 *
 * @param directory - the folder that holds `models--…`
 * @example
 * await createNodeStorage(folder).sizeOf('models--nobody--nothing/refs/main'); // => undefined
 */
export function createNodeStorage(directory: string, options: NodeStorageOptions = {}): CacheStorage {
  const root = resolve(directory);
  const at = (path: string): string => join(root, ...path.split('/'));
  const storage: CacheStorage = {
    kind: 'folder',
    place: root,
    pathOf: at,

    async sizeOf(path) {
      const found = await absentAsUndefined(stat(at(path)));
      if (!found?.isFile()) return undefined;
      await expectContained(root, at(path));
      return found.size;
    },
    async list(folder) {
      return (await absentAsUndefined(readdir(at(folder)))) ?? [];
    },
    async readSmallFile(path) {
      if ((await storage.sizeOf(path)) === undefined) return undefined;
      const { buffer, byteOffset, byteLength } = await readFile(at(path));
      return new Uint8Array(buffer, byteOffset, byteLength);
    },
    async writeSmallFile(path, bytes) {
      await writing(at(path), async () => {
        await mkdir(dirname(at(path)), { recursive: true });
        const temporary = await temporaryName(root);
        await writeFile(temporary, bytes, { flag: 'wx' });
        await rename(temporary, at(path));
      });
    },
    async open(path) {
      await expectContained(root, at(path));
      return openFileSource(at(path));
    },
    openPartial: (path) => writing(at(path), () => openPartialFile(at(path), writing)),
    async move(from, to) {
      await writing(at(to), async () => {
        await mkdir(dirname(at(to)), { recursive: true });
        await rename(at(from), at(to));
        await syncFolder(dirname(at(to)));
      });
    },
    remove: (path) => writing(at(path), () => rm(at(path), { force: true })),
    async link(path, blob) {
      await writing(at(path), async () => {
        await mkdir(dirname(at(path)), { recursive: true });
        // Made under another name and moved, so that a reader finds the old file or the new one, never none.
        const temporary = await temporaryName(root);
        if (options.copies || !(await trySymlink(relative(dirname(at(path)), at(blob)), temporary))) {
          // A copy is one block more on file systems that can share them.
          await copyFile(at(blob), temporary, constants.COPYFILE_FICLONE);
        }
        await rename(temporary, at(path));
      });
    },
    async linkTarget(path) {
      const target = await readlink(at(path)).catch(() => undefined);
      if (target === undefined) return undefined;
      const inside = relative(root, resolve(dirname(at(path)), target));
      return inside.split(sep).join(posix.sep);
    },
    async freeSpaceInBytes() {
      if (options.freeSpaceInBytes) return options.freeSpaceInBytes();
      const found = await absentAsUndefined(statfs(root));
      return found && found.bavail * found.bsize;
    },
    lock: (path, how) => writing(at(path), () => createFileLock(at(path), how, options)),
  };

  /** What the system says against writing, as errors that name the way out. */
  async function writing<T>(path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      throw storageError(cause, path, root);
    }
  }
  return storage;
}

/**
 * A name for a file that is about to be renamed, where nobody takes it for a part of the cache: Python leaves `.locks` alone.
 * What a killed process left there a day ago is removed.
 */
async function temporaryName(root: string): Promise<string> {
  const folder = join(root, '.locks', 'phiblocks-temporary');
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) {
    const found = await lstat(join(folder, name)).catch(() => undefined);
    if (found && Date.now() - found.mtimeMs > 86_400_000) await rm(join(folder, name), { force: true });
  }
  return join(folder, `${crypto.randomUUID()}.tmp`);
}

function storageError(cause: unknown, path: string, root: string): unknown {
  const code = (cause as { code?: unknown } | null)?.code;
  if (isPhi3Error(cause) || typeof code !== 'string' || !/^E[A-Z0-9]+$/.test(code)) return cause;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new Phi3Error({
      code: 'DISK_FULL',
      function: 'fetchCheckpoint',
      expected: 'free space',
      got: code,
      where: { file: path },
      hint: `Free space, or set HF_HUB_CACHE to a folder on another disk than ${root}.`,
      cause,
    });
  }
  const isReadOnly = ['EROFS', 'EACCES', 'EPERM', 'ENOTDIR'].includes(code);
  return new Phi3Error<HubErrorCode>({
    code: isReadOnly ? 'CACHE_READ_ONLY' : 'CACHE_READ',
    function: 'fetchCheckpoint',
    expected: isReadOnly ? 'a cache that can be written to' : 'a cache that works',
    got: code,
    where: { file: path },
    hint: `Set HF_HUB_CACHE (or HF_HOME) to another folder than ${root}, or pass cacheDirectory.`,
    cause,
  });
}

/** A link in the cache may lead to a blob, also of another repository; never out of the cache. */
async function expectContained(root: string, path: string): Promise<void> {
  const [realRoot, real] = await Promise.all([realpath(root), realpath(path)]);
  if (real.startsWith(realRoot.endsWith(sep) ? realRoot : realRoot + sep)) return;
  throw new Phi3Error<HubErrorCode>({
    code: 'CACHE_LINK',
    function: 'fetchCheckpoint',
    expected: `a file within ${root}`,
    got: 'a link that leads out of it',
    where: { file: path },
    hint: 'Remove the link; the next call fetches the file again.',
  });
}

async function absentAsUndefined<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

async function trySymlink(target: string, path: string): Promise<boolean> {
  try {
    await symlink(target, path, 'file');
    return true;
  } catch (error) {
    // Windows without developer mode, FAT and some network shares know no links.
    const { code } = error as { code?: string };
    if (['EPERM', 'EACCES', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EINVAL', 'UNKNOWN'].includes(code ?? '')) return false;
    throw error;
  }
}

/** Written at positions, not appended: should two processes ever write the same bytes, they fall on the same places. */
async function openPartialFile(
  path: string,
  writing: <T>(path: string, work: () => Promise<T>) => Promise<T>,
): Promise<PartialFile> {
  await mkdir(dirname(path), { recursive: true });
  const handle = await open(path, constants.O_RDWR | constants.O_CREAT, 0o666);
  let sizeInBytes = (await handle.stat()).size;
  return {
    get sizeInBytes() {
      return sizeInBytes;
    },
    async read(offset, length) {
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0) throw new Error(`${path} became shorter`);
        done += bytesRead;
      }
      return bytes;
    },
    append: (bytes) =>
      writing(path, async () => {
        for (let done = 0; done < bytes.byteLength; ) {
          const { bytesWritten } = await handle.write(bytes, done, bytes.byteLength - done, sizeInBytes);
          done += bytesWritten;
          sizeInBytes += bytesWritten;
        }
      }),
    async clear() {
      await handle.truncate(0);
      sizeInBytes = 0;
    },
    async close() {
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    },
  };
}

/** Makes a new name last through a loss of power. Windows cannot open a folder; there the system sees to it. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  await handle?.sync().catch(() => {});
  await handle?.close();
}
