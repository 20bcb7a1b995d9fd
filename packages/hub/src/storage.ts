import type { ByteSource } from '@phiblocks/weights';

/**
 * Where a hub keeps its files: a folder, the origin private file system of a browser, memory. Paths are relative, with `/`,
 * and made of names that were checked. The layout is that of Python's `huggingface_hub`, see `repositoryFolder`.
 */
export interface CacheStorage {
  readonly kind: 'folder' | 'opfs' | 'memory';
  /** For messages, for example the path of the folder. */
  readonly place: string;
  /** Size of the file at the path, links followed; undefined where there is none. */
  sizeOf(path: string): Promise<number | undefined>;
  /** Names of files and folders in a folder; empty where there is none. */
  list(folder: string): Promise<readonly string[]>;
  /** A whole small file; undefined where there is none. */
  readSmallFile(path: string): Promise<Uint8Array | undefined>;
  /** Writes a small file whole or not at all, with the folders above it. */
  writeSmallFile(path: string, bytes: Uint8Array): Promise<void>;
  open(path: string): Promise<ByteSource>;
  /** Opens a file for going on where it ends, and makes it when it is not there. */
  openPartial(path: string): Promise<PartialFile>;
  /** Gives a file another name in one step; a file of that name is replaced. */
  move(from: string, to: string): Promise<void>;
  /** Removes a file; nothing happens where there is none. */
  remove(path: string): Promise<void>;
  /** Makes the file at `blob` show up at `path` too. */
  link(path: string, blob: string): Promise<void>;
  /** The path of the file that a link at `path` shows; undefined when there is a file of its own, or none. */
  linkTarget(path: string): Promise<string | undefined>;
  /** Undefined where it cannot be known. */
  freeSpaceInBytes(): Promise<number | undefined>;
  /** Waits until nobody else holds the lock of that name. */
  lock(path: string, options: LockOptions): Promise<CacheLock>;
  /** Path for programs that open files themselves; undefined where there are none, as in a browser. */
  pathOf(path: string): string | undefined;
}

/** How to wait for a lock. */
export interface LockOptions {
  readonly signal: AbortSignal | undefined;
  /** Called once when somebody else holds the lock. */
  readonly onWait?: (() => void) | undefined;
}

/** A lock that is held. */
export interface CacheLock {
  /** @throws Phi3Error `CACHE_LOCK_LOST` when another process has taken over */
  expectHeld(): Promise<void>;
  release(): Promise<void>;
}

/** A file that grows. */
export interface PartialFile {
  readonly sizeInBytes: number;
  read(offset: number, length: number): Promise<Uint8Array>;
  append(bytes: Uint8Array): Promise<void>;
  /** Back to nothing. */
  clear(): Promise<void>;
  /** Puts what was written where a loss of power does not take it, and closes. */
  close(): Promise<void>;
}
