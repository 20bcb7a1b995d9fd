import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeWithShared, type HubServer, sharedPath, startHubServer } from '@phiblocks/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { collect } from '../src/index.ts';
import { loadModel, resolveModelPath } from '../src/node.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'phiblocks runtime '));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('resolveModelPath', () => {
  it('leaves a path that exists, and what is no name on the hub', async () => {
    await mkdir(join(folder, 'owner', 'name'), { recursive: true });
    const path = join(folder, 'owner', 'name');
    expect(await resolveModelPath(path)).toBe(path);
    for (const text of ['./missing', 'a/b/c', 'models/missing.gguf']) expect(await resolveModelPath(text)).toBe(text);
  });

  it('asks only the cache when offline', async () => {
    const asked = resolveModelPath('nobody/nothing', { offline: true, cacheDirectory: folder });
    await expect(asked).rejects.toMatchObject({ code: 'HUB_OFFLINE' });
  });

  it('knows its options', async () => {
    await expect(resolveModelPath('a/b', { ...{ rev: 'x' } })).rejects.toMatchObject({ code: 'OPTION_UNKNOWN' });
  });
});

it('loadModel without the option hub takes a name for a path, and touches no network', async () => {
  await expect(loadModel('nobody/nothing')).rejects.toMatchObject({ code: 'CHECKPOINT_NOT_FOUND' });
});

describeWithShared('loadModel with the option hub', 'models/stories260k-phi3', () => {
  let server: HubServer;
  beforeEach(async () => {
    const path = sharedPath('models', 'stories260k-phi3');
    const names = (await readdir(path)).filter((name) => /\.(json|safetensors)$/.test(name));
    const files = await Promise.all(
      names.map(async (name) => [`onnx/${name}`, await readFile(join(path, name))] as const),
    );
    server = await startHubServer({ repositories: new Map([['tiny/stories', new Map(files)]]) });
  });
  afterEach(() => server.close());

  it('loads a checkpoint from a subfolder of a repository, as from the disk', async () => {
    const hub = { endpoint: server.endpoint, cacheDirectory: folder, subfolder: 'onnx', token: false as const };
    const text = async (model: string, options: Parameters<typeof loadModel>[1]) => {
      const loaded = await loadModel(model, { ...options, backend: 'reference' });
      const { text } = await collect(loaded.generate({ prompt: 'Once', maxNewTokens: 4 }));
      await loaded.dispose();
      return text;
    };
    const expected = await text(sharedPath('models', 'stories260k-phi3'), {});
    expect(await text('tiny/stories', { hub })).toBe(expected);
    expect(await text('tiny/stories', { hub: { ...hub, offline: true } })).toBe(expected);
  });
});
