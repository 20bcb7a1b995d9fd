import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readHubEnvironment, type Variables } from './environment.ts';

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'phiblocks home '));
  await writeFile(join(home, 'token'), 'from-file\n');
});
afterAll(() => rm(home, { recursive: true, force: true }));

const read = (variables: Variables) => readHubEnvironment(variables, home);

// Each row adds a variable that wins over all rows before it.
const precedence: [Variables, string[]][] = [
  [{}, ['.cache', 'huggingface', 'hub']],
  [{ XDG_CACHE_HOME: '~/xdg' }, ['xdg', 'huggingface', 'hub']],
  [{ HF_HOME: '$BASE/hf', BASE: '~' }, ['hf', 'hub']],
  [{ HUGGINGFACE_HUB_CACHE: '~/old' }, ['old']],
  [{ HF_HUB_CACHE: '~/new' }, ['new']],
];

describe('readHubEnvironment', () => {
  it('finds the cache in the order of Python', async () => {
    let variables: Variables = {};
    for (const [added, path] of precedence) {
      // `~` within a variable is not the home folder, as in Python: only the beginning of a path is.
      variables = { ...variables, ...added, ...(added.BASE && { BASE: home }) };
      expect((await read(variables)).cacheDirectory).toBe(join(home, ...path));
    }
  });

  it('finds the token in the order of Python', async () => {
    expect((await read({})).token).toBeUndefined();
    const inFile = { HF_HOME: home };
    expect((await read(inFile)).token).toBe('from-file');
    expect((await read({ HF_TOKEN_PATH: '~/token' })).token).toBe('from-file');
    expect((await read({ ...inFile, HUGGING_FACE_HUB_TOKEN: 'old' })).token).toBe('old');
    expect((await read({ ...inFile, HUGGING_FACE_HUB_TOKEN: 'old', HF_TOKEN: ' new\r\n' })).token).toBe('new');
    expect((await read({ HF_TOKEN: 'new', HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' })).token).toBeUndefined();
  });

  it.each([
    [{}, false],
    [{ HF_HUB_OFFLINE: '1' }, true],
    [{ HF_HUB_OFFLINE: 'yes' }, true],
    [{ HF_HUB_OFFLINE: 'on' }, true],
    [{ HF_HUB_OFFLINE: 'True' }, true],
    [{ HF_HUB_OFFLINE: '0' }, false],
    [{ TRANSFORMERS_OFFLINE: '1' }, true],
    [{ HF_HUB_OFFLINE: '0', TRANSFORMERS_OFFLINE: '1' }, false],
    [{ HF_HUB_OFFLINE: '', TRANSFORMERS_OFFLINE: '1' }, true],
  ] as [Variables, boolean][])('%o: offline %s', async (variables, offline) => {
    expect((await read(variables)).offline).toBe(offline);
  });

  it('knows the endpoint, and takes nothing for nothing', async () => {
    expect((await read({ HF_ENDPOINT: 'https://mirror.example' })).endpoint).toBe('https://mirror.example');
    const empty = await read({ HF_ENDPOINT: '', HF_HUB_CACHE: '', HF_TOKEN: '' });
    expect(empty).toMatchObject({ endpoint: 'https://huggingface.co', token: undefined });
    expect(empty.cacheDirectory).toBe(join(home, '.cache', 'huggingface', 'hub'));
  });
});
