import type { ByteSource } from '@phiblocks/weights';
import type { PartialFile } from './storage.ts';

/** A hash that takes its bytes piece by piece. */
export interface StreamingHash {
  update(bytes: Uint8Array): void;
  /** In lower-case hexadecimal digits. */
  digest(): string;
}

/** Makes streaming hashes: `node:crypto` in Node, `@noble/hashes` in browsers, whose own hash takes only whole arrays. */
export type CreateHash = (algorithm: 'sha256' | 'sha1') => StreamingHash;

/** What a file must hash to, as the hub says it; its digits are the name of the blob too. */
export interface ContentHash {
  /** `sha256` of the bytes for large files; for the others git's `sha1` of `blob <size>\0` and the bytes. */
  readonly kind: 'sha256' | 'git-sha1';
  readonly digits: string;
}

/** Begins the hash of a file of the given size. */
export function beginContentHash(
  createHash: CreateHash,
  kind: ContentHash['kind'],
  sizeInBytes: number,
): StreamingHash {
  if (kind === 'sha256') return createHash('sha256');
  const hash = createHash('sha1');
  hash.update(new TextEncoder().encode(`blob ${sizeInBytes}\0`));
  return hash;
}

/** The kind of hash that a blob is named by; undefined for another name. */
export function contentHashOf(blobName: string): ContentHash | undefined {
  if (/^[0-9a-f]{64}$/.test(blobName)) return { kind: 'sha256', digits: blobName };
  if (/^[0-9a-f]{40}$/.test(blobName)) return { kind: 'git-sha1', digits: blobName };
  return undefined;
}

const pieceInBytes = 2 ** 22;

/** Adds the first `length` bytes of a file to a hash, a few megabytes at a time. */
export async function hashFrom(
  hash: StreamingHash,
  file: Pick<PartialFile | ByteSource, 'read'>,
  length: number,
  signal?: AbortSignal,
): Promise<void> {
  for (let at = 0; at < length; at += pieceInBytes) {
    signal?.throwIfAborted();
    hash.update(await file.read(at, Math.min(pieceInBytes, length - at)));
  }
}

const sampleInBytes = 2 ** 16;
const numSamples = 16;

/**
 * SHA-256 over 16 pieces of 64 KiB spread evenly over a file, its beginning and its end among them; of the whole file up to
 * 1 MiB. A look that costs milliseconds; it finds cut files and broken disks, not every flipped bit.
 */
export async function hashSamples(
  createHash: CreateHash,
  source: Pick<ByteSource, 'read' | 'sizeInBytes'>,
): Promise<string> {
  const hash = createHash('sha256');
  if (source.sizeInBytes <= sampleInBytes * numSamples) {
    hash.update(await source.read(0, source.sizeInBytes));
    return hash.digest();
  }
  const last = source.sizeInBytes - sampleInBytes;
  for (let i = 0; i < numSamples; i++) {
    hash.update(await source.read(Math.floor((last * i) / (numSamples - 1)), sampleInBytes));
  }
  return hash.digest();
}
