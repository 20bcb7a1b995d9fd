import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HubServer, startHubServer } from '@phiblocks/testing';
import type { ByteSource } from '@phiblocks/weights';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type CacheStorage,
  createBrowserHub,
  createHub,
  createMemoryStorage,
  createNobleHash,
  createOpfsStorage,
} from '../src/index.ts';
import { createNodeStorage } from '../src/node.ts';
import { createOverlayStorage } from '../src/overlay-storage.ts';
import { asDirectoryHandle, FakeDirectory } from './fake-opfs.ts';
import { tinySafetensors } from './tiny-repository.ts';

const model = 'tiny/checkpoint';
const weights = tinySafetensors(200_000, 4);
const files = new Map([
  ['config.json', new TextEncoder().encode('{"model_type":"phi3"}')],
  ['model.safetensors', weights],
]);
let server: HubServer;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'phiblocks hub '));
  server = await startHubServer({ repositories: new Map([[model, files]]) });
});
afterEach(async () => {
  vi.unstubAllGlobals();
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

const opfs = (fake = new FakeDirectory(), estimate?: StorageEstimate) =>
  createOpfsStorage(asDirectoryHandle(fake), { storage: estimate && { estimate: async () => estimate } });
const hubOver = (storage: CacheStorage) =>
  createHub({ storage, createHash: createNobleHash, endpoint: server.endpoint, maxRetries: 0 });
const expectWeights = async (source: ByteSource | undefined) => {
  expect(Buffer.from(weights).equals(await source!.read(0, source!.sizeInBytes))).toBe(true);
  await source!.close();
};

// The same contract, whatever lies beneath.
const stores: [string, () => CacheStorage][] = [
  ['a folder', () => createNodeStorage(join(folder, 'cache'))],
  ['memory', () => createMemoryStorage()],
  ['memory over a folder', () => createOverlayStorage(createNodeStorage(join(folder, 'cache')))],
  ['the origin private file system', () => opfs()],
];
describe.each(stores)('%s', (_, create) => {
  it('keeps, links, moves and removes files', async () => {
    const storage = create();
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
  });

  it('carries a hub: fetch, resume, find, verify, repair', async () => {
    const storage = create();
    const hub = hubOver(storage);
    let drop = true;
    server.setFault((request, response) => {
      if (request.file !== 'model.safetensors' || !drop) return false;
      drop = false;
      response.writeHead(200, { 'content-length': weights.byteLength });
      response.write(weights.subarray(0, 50_000), () => setTimeout(() => response.destroy(), 20));
      return true;
    });
    await expect(hub.fetchCheckpoint({ model })).rejects.toMatchObject({ code: 'NET' });
    expect((await hub.findCached({ model, revision: server.commit }))?.missing).toContain('model.safetensors');
    const fetched = await hub.fetchCheckpoint({ model });
    expect(server.requests.at(-1)!.headers.range).toBe('bytes=50000-');
    await expectWeights(await fetched.open('model.safetensors'));
    expect((await hub.findCached({ model }))!.missing).toEqual([]);
    expect((await hub.verifyCheckpoint({ model })).map(({ status }) => status)).toEqual(['whole', 'whole']);
    await storage.remove(`models--tiny--checkpoint/snapshots/${server.commit}/config.json`);
    await hub.repairCheckpoint({ model });
    expect((await hub.findCached({ model }))!.missing).toEqual([]);
  });
});

it('a file of many parts is read across their borders', async () => {
  const storage = opfs();
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
});

describe('DL-17: the quota of a browser', () => {
  it('is said before the first byte where the browser tells it', async () => {
    const hub = hubOver(opfs(new FakeDirectory(), { quota: 150_000, usage: 50_000 }));
    await expect(hub.fetchCheckpoint({ model })).rejects.toMatchObject({
      code: 'QUOTA',
      expected: '200000 bytes of free space',
      got: '100000 bytes',
    });
  });

  it('that is used up on the way is QUOTA, and nothing wrong is kept', async () => {
    const fake = new FakeDirectory({ bytes: 100_000 });
    const hub = hubOver(opfs(fake));
    await expect(hub.fetchCheckpoint({ model })).rejects.toMatchObject({ code: 'QUOTA' });
    fake.budget.bytes = Number.POSITIVE_INFINITY;
    expect((await hub.findCached({ model, revision: server.commit }))!.missing).toContain('model.safetensors');
    await expectWeights(await (await hub.fetchCheckpoint({ model })).open('model.safetensors'));
  });

  it('does not stop a browser hub, which goes on in memory and says so', async () => {
    const fake = new FakeDirectory({ bytes: 100_000 });
    vi.stubGlobal('navigator', { storage: { getDirectory: async () => fake } });
    const onWarning = vi.fn();
    const hub = await createBrowserHub({ endpoint: server.endpoint, onWarning });
    const fetched = await hub.fetchCheckpoint({ model });
    await expectWeights(await fetched.open('model.safetensors'));
    expect(fetched.warnings).toEqual([expect.stringContaining('QUOTA')]);
    expect(onWarning).not.toHaveBeenCalled();
  });
});

describe('DL-18: a browser without storage', () => {
  it.each([
    ['no secure page', undefined],
    ['private mode', { getDirectory: () => Promise.reject(new DOMException('denied', 'SecurityError')) }],
  ])('%s: memory, with one warning', async (_, storage) => {
    vi.stubGlobal('navigator', { storage });
    const onWarning = vi.fn();
    const hub = await createBrowserHub({ endpoint: server.endpoint, onWarning });
    await expectWeights(await (await hub.fetchCheckpoint({ model })).open('model.safetensors'));
    await hub.fetchCheckpoint({ model });
    expect(hub.storage.kind).toBe('memory');
    expect(onWarning.mock.calls).toEqual([[expect.stringContaining('in memory')]]);
  });
});

it('tabs take turns by the locks of the browser', async () => {
  const asked: string[] = [];
  const locks = {
    request: async (name: string, _: unknown, work: () => Promise<void>) => {
      asked.push(name);
      await work();
    },
  };
  const storage = createOpfsStorage(asDirectoryHandle(new FakeDirectory()), {
    locks: locks as Pick<LockManager, 'request'>,
  });
  await hubOver(storage).fetchCheckpoint({ model });
  expect(asked.every((name) => name.startsWith('phiblocks .locks/models--tiny--checkpoint/'))).toBe(true);
  expect(asked).toHaveLength(2);
});
