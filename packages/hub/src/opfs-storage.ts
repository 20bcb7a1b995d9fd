import { isPhi3Error, Phi3Error } from '@phiblocks/tensor';
import { type ByteSource, expectReadable } from '@phiblocks/weights';
import type { HubErrorCode } from './error-codes.ts';
import type { CacheLock, CacheStorage, LockOptions, PartialFile } from './storage.ts';

// What is used of the browser is written out: its own types are missing in the projects of users who compile for Node.

/** What is used of a folder of the origin private file system; a browser's `FileSystemDirectoryHandle` is one. */
export interface OpfsFolder {
  getDirectoryHandle(name: string, options?: { create?: boolean }): Promise<OpfsFolder>;
  getFileHandle(name: string, options?: { create?: boolean }): Promise<OpfsFile>;
  removeEntry(name: string, options?: { recursive?: boolean }): Promise<void>;
  /** There in every browser; not every version of the types says so. */
  keys?(): AsyncIterable<string>;
}

/** What is used of a file of the origin private file system; a browser's `FileSystemFileHandle` is one. */
export interface OpfsFile {
  getFile(): Promise<Blob>;
  createWritable(): Promise<{
    write(bytes: Uint8Array<ArrayBuffer> | string): Promise<void>;
    close(): Promise<void>;
  }>;
}

/** What is used of a browser's `LockManager`. */
export interface OpfsLocks {
  request(name: string, options: { signal?: AbortSignal }, work: () => Promise<void>): Promise<unknown>;
}

/** What is used of `navigator`, so that tests can bring their own. */
export interface OpfsEnvironment {
  readonly locks?: OpfsLocks | undefined;
  readonly storage?: { estimate(): Promise<{ quota?: number; usage?: number }> } | undefined;
}

/** A part is kept in memory until it is full; so much is lost at most when a tab is closed. */
const partInBytes = 2 ** 24;
const partsEnding = '.phiblocks-parts';
const linkEnding = '.phiblocks-link';

/** The list of parts under the name of a large file. */
interface PartList {
  /** Folder of the parts. */
  readonly folder: string;
  readonly sizes: readonly number[];
}

/**
 * The cache in the origin private file system of a browser, in the same layout as on a disk, with two differences. A large file
 * is a list of parts of 16 MiB, because a writable stream of a browser shows what it wrote only when it is closed, and going on
 * later would copy the whole file; the list has the file's name and is written in one step, so a name still means a whole file.
 * And a link is a small file, because browsers have none.
 *
 * @param root - the folder that holds `models--…`, for example from `navigator.storage.getDirectory()`
 * @param environment - default: `navigator`
 */
export function createOpfsStorage(root: OpfsFolder, environment: OpfsEnvironment = navigator): CacheStorage {
  const names = (path: string): string[] => path.split('/');

  async function folderOf(path: string, create: boolean): Promise<OpfsFolder | undefined> {
    let folder = root;
    for (const name of names(path).slice(0, -1)) {
      const next = await absentAsUndefined(folder.getDirectoryHandle(name, { create }));
      if (next === undefined) return undefined;
      folder = next;
    }
    return folder;
  }

  async function readPlain(path: string): Promise<Blob | undefined> {
    const folder = await folderOf(path, false);
    const handle = await absentAsUndefined(folder?.getFileHandle(names(path).at(-1)!));
    return handle?.getFile();
  }

  async function writePlain(path: string, bytes: Uint8Array | string): Promise<void> {
    try {
      const folder = (await folderOf(path, true))!;
      const handle = await folder.getFileHandle(names(path).at(-1)!, { create: true });
      // What is written shows up when the stream is closed, all at once.
      const stream = await handle.createWritable();
      await stream.write(typeof bytes === 'string' ? bytes : new Uint8Array(bytes));
      await stream.close();
    } catch (cause) {
      throw await storeError(cause, path);
    }
  }

  async function removePlain(path: string): Promise<void> {
    const folder = await folderOf(path, false);
    await absentAsUndefined(folder?.removeEntry(names(path).at(-1)!, { recursive: true }));
  }

  async function readParts(path: string): Promise<PartList | undefined> {
    const file = await readPlain(path + partsEnding);
    return file && (JSON.parse(await file.text()) as PartList);
  }

  const linkTarget = async (path: string): Promise<string | undefined> => (await readPlain(path + linkEnding))?.text();

  /** The pieces of a file, links followed. */
  async function piecesOf(
    path: string,
  ): Promise<{ sizes: readonly number[]; read(piece: number): Promise<Blob> } | undefined> {
    const target = (await linkTarget(path)) ?? path;
    const plain = await readPlain(target);
    if (plain !== undefined) return { sizes: [plain.size], read: async () => plain };
    const parts = await readParts(target);
    if (parts === undefined) return undefined;
    return {
      sizes: parts.sizes,
      read: async (piece) => {
        const part = await readPlain(partPath(parts, piece));
        if (part?.size === parts.sizes[piece]) return part;
        throw new Phi3Error({
          code: 'FILE_CHANGED',
          function: 'read',
          expected: `${parts.sizes[piece]} bytes in part ${piece}`,
          got: part?.size ?? 'no such part',
          where: { file: path },
        });
      },
    };
  }

  async function storeError(cause: unknown, path: string): Promise<unknown> {
    if (isPhi3Error(cause) || (cause as { name?: unknown } | null)?.name !== 'QuotaExceededError') return cause;
    const free = await storage.freeSpaceInBytes();
    return new Phi3Error<HubErrorCode>({
      code: 'QUOTA',
      function: 'fetchCheckpoint',
      expected: 'space for the file',
      got: free === undefined ? 'a full store' : `${free} bytes by the browser's estimate`,
      where: { file: path },
      hint: 'Ask for persistent storage (navigator.storage.persist), or free some.',
      cause,
    });
  }

  const storage: CacheStorage = {
    kind: 'opfs',
    place: 'the origin private file system',
    pathOf: () => undefined,
    sizeOf: async (path) => (await piecesOf(path))?.sizes.reduce((sum, size) => sum + size, 0),
    async list(folder) {
      const handle = await folderOf(`${folder}/x`, false);
      const found = new Set<string>();
      for await (const name of handle?.keys?.() ?? []) {
        found.add(
          name.endsWith(partsEnding) || name.endsWith(linkEnding) ? name.slice(0, name.lastIndexOf('.')) : name,
        );
      }
      return [...found];
    },
    async readSmallFile(path) {
      const pieces = await piecesOf(path);
      if (pieces === undefined) return undefined;
      const source = sourceOf(path, pieces);
      return source.read(0, source.sizeInBytes);
    },
    writeSmallFile: writePlain,
    async open(path) {
      const pieces = await piecesOf(path);
      if (pieces !== undefined) return sourceOf(path, pieces);
      throw new Phi3Error({ code: 'FILE_NOT_FOUND', function: 'open', where: { file: path } });
    },
    async openPartial(path) {
      let list = await readParts(path);
      if (list === undefined) {
        list = { folder: `.locks/phiblocks-parts/${crypto.randomUUID()}`, sizes: [] };
        await writePlain(path + partsEnding, JSON.stringify(list));
      }
      return partialFile(path, list);
    },
    async move(from, to) {
      // An order in which a name that is there always stands for a whole file: first the new one, then not the old one.
      const list = await readParts(from);
      if (list !== undefined) {
        await writePlain(to + partsEnding, JSON.stringify(list));
        await removePlain(from + partsEnding);
        return;
      }
      const plain = await readPlain(from);
      if (plain === undefined) throw new Phi3Error({ code: 'FILE_NOT_FOUND', function: 'move', where: { file: from } });
      await writePlain(to, new Uint8Array(await plain.arrayBuffer()));
      await removePlain(from);
    },
    async remove(path) {
      const parts = await readParts(path);
      await removePlain(path + partsEnding);
      if (parts !== undefined) await removePlain(parts.folder);
      await removePlain(path + linkEnding);
      await removePlain(path);
    },
    link: (path, blob) => writePlain(path + linkEnding, blob),
    linkTarget,
    async freeSpaceInBytes() {
      const estimate = await environment.storage?.estimate?.();
      return estimate?.quota === undefined ? undefined : Math.max(0, estimate.quota - (estimate.usage ?? 0));
    },
    lock: (path, options) => requestLock(environment.locks, path, options),
  };

  function partialFile(path: string, list: PartList): PartialFile {
    let sizes = [...list.sizes];
    let buffer = new Uint8Array(partInBytes);
    let buffered = 0;
    const stored = (): number => sizes.reduce((sum, size) => sum + size, 0);
    const writePart = async (): Promise<void> => {
      if (buffered === 0) return;
      await writePlain(partPath(list, sizes.length), buffer.subarray(0, buffered));
      // The part counts once the list has it.
      sizes = [...sizes, buffered];
      buffered = 0;
      await writePlain(path + partsEnding, JSON.stringify({ ...list, sizes }));
    };
    return {
      get sizeInBytes() {
        return stored() + buffered;
      },
      async read(offset, length) {
        await writePart();
        const source = sourceOf(path, (await piecesOf(path))!);
        return source.read(offset, length);
      },
      async append(bytes) {
        for (let done = 0; done < bytes.byteLength; ) {
          const length = Math.min(bytes.byteLength - done, partInBytes - buffered);
          buffer.set(bytes.subarray(done, done + length), buffered);
          buffered += length;
          done += length;
          if (buffered === partInBytes) await writePart();
        }
      },
      async clear() {
        sizes = [];
        buffered = 0;
        await writePlain(path + partsEnding, JSON.stringify({ ...list, sizes }));
        await removePlain(list.folder);
      },
      async close() {
        await writePart();
        buffer = new Uint8Array();
      },
    };
  }

  return storage;
}

const partPath = (list: PartList, part: number): string => `${list.folder}/${String(part).padStart(6, '0')}`;

function sourceOf(path: string, pieces: { sizes: readonly number[]; read(piece: number): Promise<Blob> }): ByteSource {
  const name = path.split('/').at(-1)!;
  const sizeInBytes = pieces.sizes.reduce((sum, size) => sum + size, 0);
  return {
    name,
    sizeInBytes,
    async read(offset, length, into) {
      expectReadable({ name, sizeInBytes }, offset, length, into);
      const out = into ?? new Uint8Array(length);
      let start = 0;
      for (const [piece, size] of pieces.sizes.entries()) {
        const from = Math.max(offset, start);
        const to = Math.min(offset + length, start + size);
        if (from < to) {
          const slice = (await pieces.read(piece)).slice(from - start, to - start);
          out.set(new Uint8Array(await slice.arrayBuffer()), from - offset);
        }
        start += size;
      }
      return out;
    },
    close: async () => {},
  };
}

/** A lock between the tabs and workers of an origin; the browser gives it back when a tab ends. */
function requestLock(locks: OpfsLocks | undefined, path: string, { signal }: LockOptions): Promise<CacheLock> {
  if (locks === undefined) return Promise.resolve({ expectHeld: async () => {}, release: async () => {} });
  return new Promise((resolve, reject) => {
    const work = (): Promise<void> =>
      new Promise((release) => {
        resolve({ expectHeld: async () => {}, release: async () => release() });
      });
    locks.request(`phiblocks ${path}`, signal === undefined ? {} : { signal }, work).catch(reject);
  });
}

async function absentAsUndefined<T>(work: Promise<T> | undefined): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    const { name } = (error ?? {}) as { name?: unknown };
    if (name === 'NotFoundError' || name === 'TypeMismatchError') return undefined;
    throw error;
  }
}
