import { afterEach, beforeEach, expect, it } from 'vitest';
import { createOpfsStorage } from '../../src/index.ts';
import { expectParts, expectStorageContract } from '../storage-contract.ts';

// The store on a browser's own file system and its own locks; `test/browser-storage.test.ts` has the rest, on a fake.

const name = 'phiblocks-test';
let root: FileSystemDirectoryHandle;
beforeEach(async () => {
  const origin = await navigator.storage.getDirectory();
  root = await origin.getDirectoryHandle(name, { create: true });
});
afterEach(async () => {
  const origin = await navigator.storage.getDirectory();
  await origin.removeEntry(name, { recursive: true });
});

it('keeps, links, moves and removes files', () => expectStorageContract(createOpfsStorage(root)));

it('reads a file of many parts across their borders', () => expectParts(createOpfsStorage(root)));

it('says how much room the browser gives', async () => {
  expect(await createOpfsStorage(root).freeSpaceInBytes()).toBeGreaterThan(2 ** 20);
});

it('lets one after the other have a lock', async () => {
  const [one, other] = [createOpfsStorage(root), createOpfsStorage(root)];
  const first = await one.lock('a', { signal: undefined });
  const order: string[] = [];
  const second = other.lock('a', { signal: undefined }).then((lock) => {
    order.push('second');
    return lock;
  });
  await other.lock('b', { signal: undefined }).then((lock) => lock.release()); // another name waits for nobody
  order.push('released');
  await first.release();
  await (await second).release();
  expect(order).toEqual(['released', 'second']);
});

it('gives up waiting for a lock when told to', async () => {
  const storage = createOpfsStorage(root);
  const held = await storage.lock('a', { signal: undefined });
  const controller = new AbortController();
  const waiting = storage.lock('a', { signal: controller.signal });
  controller.abort();
  await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
  await held.release();
});
