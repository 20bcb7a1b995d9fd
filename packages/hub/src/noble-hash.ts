import { sha1 } from '@noble/hashes/legacy.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import type { CreateHash } from './hashing.ts';

/**
 * Streaming hashes where there is no `node:crypto`: the hash of browsers takes only whole arrays.
 *
 * @example
 * createNobleHash('sha256').digest().slice(0, 8); // => 'e3b0c442'
 */
export const createNobleHash: CreateHash = (algorithm) => {
  const hash = algorithm === 'sha256' ? sha256.create() : sha1.create();
  return { update: (bytes) => void hash.update(bytes), digest: () => bytesToHex(hash.digest()) };
};
