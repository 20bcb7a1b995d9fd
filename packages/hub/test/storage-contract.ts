import { expect } from 'vitest';
import type { CacheStorage } from '../src/index.ts';
import { tinySafetensors } from './tiny-repository.ts';

/** What every store does, whatever lies beneath. The store is empty. */
export async function expectStorageContract(storage: CacheStorage): Promise<void> {
  expect(await storage.sizeOf('a/b/c')).toBeUndefined();
  expect(await storage.list('a')).toEqual([]);
  expect(await storage.readSmallFile('a/b/c')).toBeUndefined();
  await storage.remove('a/b/c');
  await storage.writeSmallFile('a/b/c', Uint8Array.of(1, 2, 3));
  expect(await storage.readSmallFile('a/b/c')).toEqual(Uint8Array.of(1, 2, 3));
  await storage.writeSmallFile('a/b/c', Uint8Array.of(4));
  expect(await storage.sizeOf('a/b/c')).toBe(1);

  const partial = await storage.openPartial('r/blobs/x.incomplete');
  await partial.append(Uint8Array.of(1, 2, 3));
  await partial.append(Uint8Array.of(4, 5));
  expect(partial.sizeInBytes).toBe(5);
  expect(await partial.read(1, 3)).toEqual(Uint8Array.of(2, 3, 4));
  await partial.close();
  const again = await storage.openPartial('r/blobs/x.incomplete');
  expect(again.sizeInBytes).toBe(5);
  await again.append(Uint8Array.of(6));
  await again.close();
  await storage.move('r/blobs/x.incomplete', 'r/blobs/x');
  expect(await storage.sizeOf('r/blobs/x.incomplete')).toBeUndefined();
  await storage.link('r/snapshots/1/x', 'r/blobs/x');
  expect(await storage.linkTarget('r/snapshots/1/x')).toBe('r/blobs/x');
  expect(await storage.linkTarget('r/blobs/x')).toBeUndefined();
  expect(await storage.sizeOf('r/snapshots/1/x')).toBe(6);
  expect(await storage.list('r/snapshots/1')).toEqual(['x']);
  expect([...(await storage.list('r'))].sort()).toEqual(['blobs', 'snapshots']);
  const source = await storage.open('r/snapshots/1/x');
  expect(await source.read(2, 4)).toEqual(Uint8Array.of(3, 4, 5, 6));
  await expect(source.read(2, 5)).rejects.toMatchObject({ code: 'FILE_RANGE' });
  await source.close();

  const cleared = await storage.openPartial('r/blobs/y');
  await cleared.append(Uint8Array.of(1));
  await cleared.clear();
  await cleared.append(Uint8Array.of(2));
  await cleared.close();
  expect(await storage.readSmallFile('r/blobs/y')).toEqual(Uint8Array.of(2));
  await storage.remove('r/blobs/y');
  expect(await storage.list('r/blobs')).toEqual(['x']);
  await expect(storage.open('r/blobs/y').then((one) => one.read(0, 1))).rejects.toThrow();
}

/** A file larger than one part of the origin private file system, in pieces that are no divisor of it. */
export async function expectParts(storage: CacheStorage): Promise<void> {
  const bytes = tinySafetensors(2 ** 24 + 1000, 8);
  const partial = await storage.openPartial('x');
  for (let at = 0; at < bytes.byteLength; at += 3_000_001) await partial.append(bytes.subarray(at, at + 3_000_001));
  await partial.close();
  const source = await storage.open('x');
  expect(source.sizeInBytes).toBe(bytes.byteLength);
  for (const [offset, length] of [
    [0, 10],
    [2 ** 24 - 5, 10],
    [2 ** 24, 1000],
  ] as const) {
    expect(await source.read(offset, length)).toEqual(bytes.subarray(offset, offset + length));
  }
}
