import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gitHash, type HubServer, startHubServer } from '@phiblocks/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fetchCheckpoint, findCached, verifyCheckpoint } from '../src/node.ts';
import { tinyRepository, tinySafetensors } from './tiny-repository.ts';

// What Python's huggingface_hub (1.33, file_download.py) leaves: models--owner--name with blobs named by ETag, refs with the
// bare commit, snapshots of relative links, empty files in .no_exist. Made by hand, so that no Python is needed.

const model = 'tiny/checkpoint';
const commit = '89abcdef0123456789abcdef0123456789abcdef';
const files = tinyRepository();
let folder: string;
let cacheDirectory: string;
let repository: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'phiblocks hub '));
  cacheDirectory = join(folder, 'hub');
  repository = join(cacheDirectory, 'models--tiny--checkpoint');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const blobName = (bytes: Uint8Array): string =>
  bytes.byteLength < 1000 ? gitHash(bytes) : createHash('sha256').update(bytes).digest('hex');

async function leaveAsPython(names: Iterable<string> = files.keys(), copies = false): Promise<void> {
  await mkdir(join(repository, 'blobs'), { recursive: true });
  for (const name of names) {
    const bytes = files.get(name)!;
    const pointer = join(repository, 'snapshots', commit, name);
    await mkdir(dirname(pointer), { recursive: true });
    // Where Python can make no links it moves the file to the snapshot and leaves no blob.
    if (copies) {
      await writeFile(pointer, bytes);
      continue;
    }
    await writeFile(join(repository, 'blobs', blobName(bytes)), bytes);
    await symlink(join('..', '..', 'blobs', blobName(bytes)), pointer);
  }
  await mkdir(join(repository, 'refs'), { recursive: true });
  await writeFile(join(repository, 'refs', 'main'), commit);
}

const noNetwork = (): never => {
  throw new Error('the network was used');
};
const offline = () => ({ model, cacheDirectory, offline: true, fetch: noNetwork });

describe('what Python fetched', () => {
  it.each([
    ['linked', false],
    ['copied', true],
  ])('is found without network, %s', async (_, copies) => {
    await leaveAsPython(undefined, copies);
    const { path, files: got } = await fetchCheckpoint(offline());
    expect(path).toBe(join(repository, 'snapshots', commit));
    expect([...got.keys()]).toEqual([...files.keys()].filter((name) => name !== 'README.md'));
    expect(existsSync(join(cacheDirectory, '.locks'))).toBe(false);
  });

  it('can be verified by the names of its blobs, and copies only with a list', async () => {
    await leaveAsPython();
    expect((await verifyCheckpoint(offline())).map(({ status }) => status)).toEqual(Array(5).fill('whole'));
    await rm(repository, { recursive: true });
    await leaveAsPython(undefined, true);
    expect((await verifyCheckpoint(offline())).map(({ status }) => status)).toEqual(Array(5).fill('unknown'));
  });

  it('lacks what its index names', async () => {
    await leaveAsPython([...files.keys()].filter((name) => name !== 'model-00002-of-00002.safetensors'));
    expect((await findCached({ model, cacheDirectory }))!.missing).toEqual(['model-00002-of-00002.safetensors']);
    await expect(fetchCheckpoint(offline())).rejects.toMatchObject({ code: 'HUB_OFFLINE' });
  });

  it('lacks weights where there are only descriptions', async () => {
    await leaveAsPython(['config.json', 'tokenizer.json']);
    expect((await findCached({ model, cacheDirectory }))!.missing).toEqual(['model.safetensors']);
  });

  it('says what is known not to exist, and warns of what is not known', async () => {
    await leaveAsPython();
    const warned = await fetchCheckpoint(offline());
    expect(warned.warnings).toEqual([expect.stringContaining('generation_config.json')]);
    const absent = join(repository, '.no_exist', commit);
    await mkdir(absent, { recursive: true });
    await writeFile(join(absent, 'generation_config.json'), '');
    expect((await fetchCheckpoint(offline())).warnings).toEqual([]);
  });
});

describe('with a server', () => {
  let server: HubServer;
  beforeEach(async () => {
    const repositories = new Map([[model, files]]);
    server = await startHubServer({ repositories, commit, revisions: ['v1', 'refs/pr/1'] });
  });
  afterEach(() => server.close());
  const online = () => ({ model, cacheDirectory, endpoint: server.endpoint, token: false as const });

  it('nothing that Python fetched is fetched again', async () => {
    await leaveAsPython();
    await fetchCheckpoint(online());
    expect(server.requests.map(({ what }) => what)).toEqual(['info', 'tree']);
  });

  it('what we fetch is laid out so that Python finds it', async () => {
    await fetchCheckpoint({ ...online(), revision: 'refs/pr/1' });
    // try_to_load_from_cache: refs/<revision> without a line end, then the pointer in the snapshot.
    expect(await readFile(join(repository, 'refs', 'refs', 'pr', '1'), 'utf8')).toBe(commit);
    for (const name of ['config.json', 'model-00001-of-00002.safetensors']) {
      const bytes = files.get(name)!;
      const target = await readlink(join(repository, 'snapshots', commit, name));
      expect(target).toBe(join('..', '..', 'blobs', blobName(bytes)));
    }
    // hf cache ls counts an unknown folder at the top as a corrupted cache.
    expect((await readdir(cacheDirectory)).sort()).toEqual(['.locks', 'models--tiny--checkpoint']);
  });

  it('copies where links are impossible', async () => {
    await fetchCheckpoint({ ...online(), storageOptions: { copies: true } });
    const pointer = join(repository, 'snapshots', commit, 'config.json');
    await expect(readlink(pointer)).rejects.toMatchObject({ code: 'EINVAL' });
    expect(new Uint8Array(await readFile(pointer))).toEqual(files.get('config.json'));
    server.requests.length = 0;
    await fetchCheckpoint({ ...online(), storageOptions: { copies: true } });
    expect(server.requests.map(({ what }) => what)).toEqual(['info']);
  });

  it('takes a checkpoint from a subfolder', async () => {
    const below = new Map([...files].map(([name, bytes]) => [`cpu/int4/${name}`, bytes]));
    await server.close();
    server = await startHubServer({ repositories: new Map([[model, below]]), commit });
    const { path, files: got } = await fetchCheckpoint({ ...online(), subfolder: 'cpu/int4' });
    expect(path).toBe(join(repository, 'snapshots', commit, 'cpu', 'int4'));
    expect(await readlink(join(path, 'config.json'))).toBe(
      join(...Array(4).fill('..'), 'blobs', got.get('config.json')!.hash!.digits),
    );
  });

  it('fetches all parts of a GGUF model, and gives the first', async () => {
    const gguf = (seed: number): Uint8Array => {
      const bytes = tinySafetensors(3000, seed);
      bytes.set(new TextEncoder().encode('GGUF'));
      return bytes;
    };
    const names = ['m-Q8_0.gguf', 'm-Q4_K_M-00001-of-00002.gguf', 'm-Q4_K_M-00002-of-00002.gguf'];
    await server.close();
    server = await startHubServer({
      repositories: new Map([[model, new Map(names.map((name, i) => [name, gguf(i)]))]]),
      commit,
    });
    const { path, ggufParts } = await fetchCheckpoint({ ...online(), model: `${model}:q4_k_m` });
    expect(ggufParts).toEqual(names.slice(1));
    expect(path).toBe(join(repository, 'snapshots', commit, names[1]!));
    expect(server.requests.filter(({ file }) => file?.endsWith('Q8_0.gguf'))).toEqual([]);
    await expect(fetchCheckpoint(online())).rejects.toThrow(
      /HUB_FILE_CHOICE.*m-Q4_K_M-00001-of-00002.gguf.*m-Q8_0.gguf/,
    );
  });
});
