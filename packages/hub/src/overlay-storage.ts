import { createMemoryStorage } from './memory-storage.ts';
import type { CacheStorage } from './storage.ts';

/** A store that can only be read, with memory over it that takes what is written. */
export function createOverlayStorage(base: CacheStorage): CacheStorage {
  const memory = createMemoryStorage();
  const isInMemory = async (path: string): Promise<boolean> => (await memory.sizeOf(path)) !== undefined;
  const removed = new Set<string>();
  /** Snapshots made here of blobs that are there. */
  const links = new Map<string, string>();
  const inBase = (path: string): string | undefined => {
    const target = links.get(path) ?? path;
    return removed.has(target) ? undefined : target;
  };
  return {
    kind: 'memory',
    place: `memory over ${base.place}`,
    // What is in memory has no path, and a checkpoint is in one place or it has none.
    pathOf: () => undefined,
    sizeOf: async (path) => {
      const below = inBase(path);
      return (await memory.sizeOf(path)) ?? (below === undefined ? undefined : await base.sizeOf(below));
    },
    list: async (folder) => [...new Set([...(await memory.list(folder)), ...(await base.list(folder))])],
    readSmallFile: async (path) => {
      const below = inBase(path);
      return (await memory.readSmallFile(path)) ?? (below === undefined ? undefined : await base.readSmallFile(below));
    },
    writeSmallFile: (path, bytes) => memory.writeSmallFile(path, bytes),
    open: async (path) => ((await isInMemory(path)) ? memory.open(path) : base.open(inBase(path) ?? path)),
    openPartial: (path) => memory.openPartial(path),
    move: async (from, to) => {
      if (await isInMemory(from)) await memory.move(from, to);
      // A damaged file is set aside: out of sight here, untouched there.
      else removed.add(from);
    },
    remove: async (path) => {
      removed.add(path);
      await memory.remove(path);
    },
    link: async (path, blob) => {
      if (await isInMemory(blob)) await memory.link(path, blob);
      else links.set(path, blob);
    },
    linkTarget: async (path) => links.get(path) ?? (await memory.linkTarget(path)) ?? base.linkTarget(path),
    freeSpaceInBytes: () => memory.freeSpaceInBytes(),
    lock: (path, options) => memory.lock(path, options),
  };
}
