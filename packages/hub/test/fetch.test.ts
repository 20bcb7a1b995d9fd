import { createHash } from 'node:crypto';
import { mkdtemp, readFile, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HubServer, startHubServer } from '@phiblocks/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HubProgress } from '../src/index.ts';
import { fetchCheckpoint, findCached, listCheckpointFiles, repairCheckpoint, verifyCheckpoint } from '../src/node.ts';
import { tinyRepository } from './tiny-repository.ts';

let server: HubServer;
let cacheDirectory: string;
const files = tinyRepository();

beforeEach(async () => {
  cacheDirectory = await mkdtemp(join(tmpdir(), 'phiblocks hub '));
  server = await startHubServer({ repositories: new Map([['tiny/checkpoint', files]]) });
});
afterEach(async () => {
  await server.close();
  await rm(cacheDirectory, { recursive: true, force: true });
});

const options = () => ({ model: 'tiny/checkpoint', endpoint: server.endpoint, cacheDirectory });

describe('fetchCheckpoint', () => {
  it('brings a sharded checkpoint into the layout of Python', async () => {
    const events: HubProgress[] = [];
    const {
      directory,
      path,
      commit,
      files: got,
    } = await fetchCheckpoint({
      ...options(),
      onProgress: (event) => events.push(event),
    });
    expect(directory).toBe(join(cacheDirectory, 'models--tiny--checkpoint', 'snapshots', server.commit));
    expect([path, commit]).toEqual([directory, server.commit]);
    expect(await readFile(join(cacheDirectory, 'models--tiny--checkpoint', 'refs', 'main'), 'utf8')).toBe(commit);
    expect([...got.keys()].sort()).toEqual([...files.keys()].filter((name) => name !== 'README.md').sort());
    for (const [name, file] of got) {
      expect(new Uint8Array(await readFile(file.path!)), name).toEqual(files.get(name));
      expect(await readlink(file.path!)).toBe(join('..', '..', 'blobs', file.hash!.digits));
    }
    const shard = 'model-00001-of-00002.safetensors';
    const { hash } = got.get(shard)!;
    expect(hash).toEqual({ kind: 'sha256', digits: createHash('sha256').update(files.get(shard)!).digest('hex') });
    expect(events.filter((event) => 'file' in event && event.file === shard).map(({ status }) => status)).toEqual(
      expect.arrayContaining(['initiate', 'download', 'progress', 'done']),
    );
    expect(events.at(-1)).toEqual({ status: 'ready', model: 'tiny/checkpoint' });
  });

  it('asks only for the commit when everything is there, and for nothing when the commit is given', async () => {
    await fetchCheckpoint(options());
    server.requests.length = 0;
    await fetchCheckpoint(options());
    expect(server.requests.map(({ what }) => what)).toEqual(['info']);
    await fetchCheckpoint({ ...options(), revision: server.commit });
    expect(server.requests).toHaveLength(1);
  });
});

it('lists, finds, verifies and repairs', async () => {
  expect(await findCached({ model: 'tiny/checkpoint', cacheDirectory })).toBeUndefined();
  const listed = await listCheckpointFiles(options());
  expect(listed.map(({ name }) => name)).toContain('model-00002-of-00002.safetensors');
  await fetchCheckpoint(options());
  const cached = await findCached({ model: 'tiny/checkpoint', cacheDirectory });
  expect(cached!.missing).toEqual([]);
  expect((await verifyCheckpoint(options())).map(({ status }) => status)).toEqual(listed.map(() => 'whole'));
  await rm(cached!.checkpoint.files.get('config.json')!.path!);
  expect((await verifyCheckpoint(options())).filter(({ status }) => status === 'missing')).toHaveLength(1);
  await repairCheckpoint(options());
  expect((await verifyCheckpoint(options())).every(({ status }) => status === 'whole')).toBe(true);
});
