import { createHash } from 'node:crypto';
import { createByteSource } from '@phiblocks/weights';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { beginContentHash, contentHashOf, hashFrom, hashSamples } from './hashing.ts';
import { createNobleHash } from './noble-hash.ts';

describe('content hashes', () => {
  it('by hand: git and sha256sum on "hello\\n"', async () => {
    const bytes = new TextEncoder().encode('hello\n');
    const digest = async (kind: 'sha256' | 'git-sha1') => {
      const hash = beginContentHash(createNobleHash, kind, bytes.length);
      await hashFrom(hash, createByteSource(bytes, 'hello'), bytes.length);
      return hash.digest();
    };
    expect(await digest('git-sha1')).toBe('ce013625030ba8dba906f756967f9e9ca394464a');
    expect(await digest('sha256')).toBe('5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03');
  });

  it('are those of node:crypto, however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), (pieces) => {
        for (const algorithm of ['sha256', 'sha1'] as const) {
          const ours = createNobleHash(algorithm);
          const theirs = createHash(algorithm);
          for (const piece of pieces) {
            ours.update(piece);
            theirs.update(piece);
          }
          expect(ours.digest()).toBe(theirs.digest('hex'));
        }
      }),
      { seed: 5, numRuns: 50 },
    );
  });

  it.each([
    ['a'.repeat(64), 'sha256'],
    ['0'.repeat(40), 'git-sha1'],
    ['A'.repeat(64), undefined],
    ['abc', undefined],
  ])('a blob named %s', (name, kind) => {
    expect(contentHashOf(name)?.kind).toBe(kind);
  });
});

describe('hashSamples', () => {
  const samples = (bytes: Uint8Array) => hashSamples(createNobleHash, createByteSource(bytes, 'x'));

  it('sees every byte of a small file, and both ends of a large one', async () => {
    for (const length of [1000, 3_000_000]) {
      const bytes = new Uint8Array(length);
      const before = await samples(bytes);
      for (const at of [0, length - 1]) {
        bytes[at] = 1;
        expect(await samples(bytes), `${at} of ${length}`).not.toBe(before);
        bytes[at] = 0;
      }
      expect(await samples(bytes)).toBe(before);
    }
  });
});
