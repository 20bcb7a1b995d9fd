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
import { expectParts, expectStorageContract } from './storage-contract.ts';
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
  it('keeps, links, moves and removes files', () => expectStorageContract(create()));

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

it('a file of many parts is read across their borders', () => expectParts(opfs()));

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
