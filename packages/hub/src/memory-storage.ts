import { Phi3Error } from '@phiblocks/tensor';
import { expectReadable } from '@phiblocks/weights';
import type { CacheLock, CacheStorage } from './storage.ts';

/**
 * A store that lasts as long as the page or process: for tests, and for browsers that give a page no storage.
 *
 * @example
 * await createMemoryStorage().sizeOf('models--a--b/refs/main'); // => undefined
 */
export function createMemoryStorage(): CacheStorage {
  /** A file is the pieces it was written in, so that one of several gigabytes needs no single buffer of that size. */
  const files = new Map<string, Uint8Array[]>();
  const links = new Map<string, string>();
  const locks = new Map<string, Promise<void>>();
  const find = (path: string): Uint8Array[] | undefined => files.get(links.get(path) ?? path);
  const sizeOf = (pieces: readonly Uint8Array[]): number => pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
  const existing = (path: string): Uint8Array[] => {
    const pieces = find(path);
    if (pieces) return pieces;
    throw new Phi3Error({ code: 'FILE_NOT_FOUND', function: 'open', where: { file: path } });
  };
  return {
    kind: 'memory',
    place: 'memory',
    pathOf: () => undefined,
    sizeOf: async (path) => {
      const pieces = find(path);
      return pieces && sizeOf(pieces);
    },
    list: async (folder) => {
      const names = [...files.keys(), ...links.keys()].filter((path) => path.startsWith(`${folder}/`));
      return [...new Set(names.map((path) => path.slice(folder.length + 1).split('/', 1)[0]!))];
    },
    readSmallFile: async (path) => {
      const pieces = find(path);
      return pieces && readPieces(pieces, 0, sizeOf(pieces));
    },
    writeSmallFile: async (path, bytes) => void files.set(path, [bytes.slice()]),
    open: async (path) => {
      const pieces = existing(path);
      const name = path.split('/').at(-1)!;
      return {
        name,
        sizeInBytes: sizeOf(pieces),
        read: async (offset, length, into) => readPieces(pieces, offset, length, into, name),
        close: async () => {},
      };
    },
    openPartial: async (path) => {
      const pieces = files.get(path) ?? [];
      files.set(path, pieces);
      return {
        get sizeInBytes() {
          return sizeOf(pieces);
        },
        read: async (offset, length) => readPieces(pieces, offset, length),
        append: async (bytes) => void pieces.push(bytes.slice()),
        clear: async () => void pieces.splice(0),
        close: async () => {},
      };
    },
    move: async (from, to) => {
      files.set(to, existing(from));
      files.delete(from);
    },
    remove: async (path) => {
      files.delete(path);
      links.delete(path);
    },
    link: async (path, blob) => void links.set(path, blob),
    linkTarget: async (path) => links.get(path),
    freeSpaceInBytes: async () => undefined,
    lock: async (path, { signal }) => lockInProcess(locks, path, signal),
  };
}

function readPieces(
  pieces: readonly Uint8Array[],
  offset: number,
  length: number,
  into?: Uint8Array,
  name = 'memory',
): Uint8Array {
  const sizeInBytes = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
  expectReadable({ name, sizeInBytes }, offset, length, into);
  const out = into ?? new Uint8Array(length);
  let start = 0;
  for (const piece of pieces) {
    const from = Math.max(offset, start);
    const to = Math.min(offset + length, start + piece.byteLength);
    if (from < to) out.set(piece.subarray(from - start, to - start), from - offset);
    start += piece.byteLength;
  }
  return out;
}

/** One after the other within this process. */
async function lockInProcess(
  locks: Map<string, Promise<void>>,
  path: string,
  signal: AbortSignal | undefined,
): Promise<CacheLock> {
  while (locks.has(path)) {
    signal?.throwIfAborted();
    await locks.get(path);
  }
  let release = (): void => {};
  locks.set(
    path,
    new Promise((resolve) => {
      release = resolve;
    }),
  );
  return {
    expectHeld: async () => {},
    release: async () => {
      locks.delete(path);
      release();
    },
  };
}
