/**
 * The hub from any store: for browsers, workers and Node.
 *
 * @module @phiblocks/hub
 */
export { type BrowserHubOptions, createBrowserHub } from './browser-hub.ts';
export { repositoryFolder } from './cache-layout.ts';
export type { ChosenFiles } from './choose-files.ts';
export type { HubClock } from './clock.ts';
export { type HubErrorCode, hubErrorCodes } from './error-codes.ts';
export type { ContentHash, CreateHash, StreamingHash } from './hashing.ts';
export {
  type CachedCheckpoint,
  type CheckpointDesignation,
  type CheckpointFile,
  createHub,
  type FetchCheckpointOptions,
  type FetchedCheckpoint,
  type Hub,
  type HubOptions,
  type VerifiedFile,
} from './hub.ts';
export type { HubFile } from './hub-api.ts';
export { createMemoryStorage } from './memory-storage.ts';
export { looksLikeModelReference, type ModelReference, parseModelReference } from './model-reference.ts';
export { createNobleHash } from './noble-hash.ts';
export {
  createOpfsStorage,
  type OpfsEnvironment,
  type OpfsFile,
  type OpfsFolder,
  type OpfsLocks,
} from './opfs-storage.ts';
export type { FileOrigin, HubProgress } from './progress.ts';
export type { CacheLock, CacheStorage, LockOptions, PartialFile } from './storage.ts';
