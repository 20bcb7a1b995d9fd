/**
 * The codes of everything between a name on the hub and a whole file on the disk, and what they mean. Codes are never
 * renamed. `FILE_IS_HTML`, `FILE_IS_LFS_POINTER` and `DISK_FULL` are those of `@phiblocks/weights`.
 */
export const hubErrorCodes = {
  // Names
  HUB_NAME: 'The id, revision, subfolder or file name is none that the hub gives.',
  HUB_FILE_CHOICE: 'The choice fits no file of the repository, or more than one; the error lists what there is.',
  HUB_NO_WEIGHTS: 'The repository, or the subfolder, has neither safetensors nor GGUF weights.',

  // The server
  NET: 'The server could not be reached, or kept failing, after all retries.',
  HUB_UNAUTHORIZED: 'The server asks for a token, or does not accept the one that was sent.',
  HUB_GATED: 'The repository is gated: its owner has to grant access to the account first.',
  HUB_REPOSITORY_NOT_FOUND: 'The hub has no repository of that name, or none that this token may see.',
  HUB_REVISION_NOT_FOUND: 'The repository has no such branch, tag or commit.',
  HUB_FILE_NOT_FOUND: 'The repository has no such file at that revision.',
  HUB_STATUS: 'The server answered with a status that no retry would change.',
  HUB_RESPONSE: 'The answer is not what the interface of the hub gives.',
  HUB_REDIRECT: 'The server redirects in a circle, to another scheme, or to nowhere.',
  HUB_CONTENT: 'The server sent something else than the kind of file that the name stands for.',

  // The store
  INTEGRITY: 'Size or hash of a file is not what the repository says, also after a second download.',
  HUB_OFFLINE: 'Files are missing in the cache and the network may not be used; the error lists them.',
  CACHE_READ_ONLY: 'The cache cannot be written to.',
  CACHE_LINK: 'An entry of the cache is a link that leads out of the cache.',
  CACHE_LOCK_LOST: 'Another process took over the download, because this one had stood still for too long.',
  CACHE_READ: 'The operating system could not read or write the cache; the cause says why.',
  QUOTA: 'The browser grants the page no more storage.',
  ABORTED: 'The caller stopped the download. What was received is kept, and the next call goes on from there.',
} as const;

/** A code of {@link hubErrorCodes}. */
export type HubErrorCode = keyof typeof hubErrorCodes;
