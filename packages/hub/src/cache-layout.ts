import type { ContentHash } from './hashing.ts';

/**
 * The folder of a repository in the cache, as Python's huggingface_hub names it:
 * `models--owner--name/{blobs,refs,snapshots,.no_exist}`.
 *
 * Source: huggingface_hub `file_download.py`, `repo_folder_name`.
 *
 * @example
 * repositoryFolder('microsoft/Phi-3-mini-4k-instruct'); // => 'models--microsoft--Phi-3-mini-4k-instruct'
 */
export function repositoryFolder(repository: string): string {
  return ['models', ...repository.split('/')].join('--');
}

/** Paths within the cache. Those under `.phiblocks` are ours alone; Python looks only at the others. */
export const cachePaths = {
  ref: (repository: string, revision: string) => `${repositoryFolder(repository)}/refs/${revision}`,
  blobs: (repository: string) => `${repositoryFolder(repository)}/blobs`,
  blob: (repository: string, hash: ContentHash) => `${repositoryFolder(repository)}/blobs/${hash.digits}`,
  snapshots: (repository: string) => `${repositoryFolder(repository)}/snapshots`,
  snapshot: (repository: string, commit: string) => `${repositoryFolder(repository)}/snapshots/${commit}`,
  file: (repository: string, commit: string, name: string) =>
    `${repositoryFolder(repository)}/snapshots/${commit}/${name}`,
  /** Python leaves an empty file here for what it has found not to exist. */
  absent: (repository: string, commit: string, name: string) =>
    `${repositoryFolder(repository)}/.no_exist/${commit}/${name}`,
  /** What the hub lists at a commit, which never changes. */
  listing: (repository: string, commit: string) => `${repositoryFolder(repository)}/.phiblocks/listings/${commit}.json`,
  /** Size and hash of samples of a blob that was whole. */
  record: (repository: string, blob: string) => `${repositoryFolder(repository)}/.phiblocks/records/${blob}.json`,
  quarantine: (repository: string, blob: string) => `${repositoryFolder(repository)}/.phiblocks/quarantine/${blob}`,
  lock: (repository: string, blob: string) => `.locks/${repositoryFolder(repository)}/${blob}`,
};

const partialEnding = '.phiblocks.incomplete';

/** A name for the bytes of a blob that is not whole; unique, so that two writers never meet in one file. */
export function partialName(blob: string, unique: string): string {
  return `${blob}.${unique}${partialEnding}`;
}

/** Whether a file among the blobs is an unfinished one of the given blob. */
export function isPartialOf(blob: string, name: string): boolean {
  return name.startsWith(`${blob}.`) && name.endsWith(partialEnding);
}

/** Beside the partial file: the ETag under which its bytes came. */
export function partialEtagName(blob: string): string {
  return `${blob}.phiblocks.etag`;
}
