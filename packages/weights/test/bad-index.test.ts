import { link, mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isPhi3Error } from '@phiblocks/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createByteSource,
  encodeSafetensors,
  openShardedSafetensors,
  type ShardedSafetensorsOptions,
  type WeightSource,
  weightsErrorCodes,
} from '../src/index.ts';
import { openSafetensorsDirectory, type SafetensorsDirectoryOptions } from '../src/node.ts';
import { type CountingSource, createCountingSource } from './forge-safetensors.ts';

const one = 'model-00001-of-00002.safetensors';
const two = 'model-00002-of-00002.safetensors';
const shard = (...names: string[]): Uint8Array =>
  encodeSafetensors(names.map((name) => ({ name, dtype: 'F32', shape: [1], bytes: new Uint8Array(4) })));
const goodShards = { [one]: shard('a'), [two]: shard('b') };
const weightMap = (entries: string): string => `{"metadata":{"total_size":8},"weight_map":{${entries}}}`;
const goodIndex = weightMap(`"a":"${one}","b":"${two}"`);

/** An index, the shards there are, and what must come of it. */
interface Case {
  id: string;
  title: string;
  index: string | Uint8Array;
  shards?: Record<string, Uint8Array>;
  options?: ShardedSafetensorsOptions;
  expected: string;
  says?: RegExp;
  check?: (weights: WeightSource) => void;
}

const named = (id: string, expected: string, paths: string[]): Case[] =>
  paths.map((path) => ({
    id,
    title: JSON.stringify(path),
    index: weightMap(`"a":${JSON.stringify(path)}`),
    expected,
    says: /tensor a/,
  }));

const cases: Case[] = [
  { id: 'IX-01', title: 'not JSON', index: '{"weight_map":', expected: 'IX_JSON' },
  { id: 'IX-01', title: 'not UTF-8', index: Uint8Array.of(0x7b, 0xff, 0x7d), expected: 'IX_JSON' },
  { id: 'IX-01', title: 'deep', index: `{"a":${'['.repeat(1000)}`, expected: 'IX_JSON' },
  { id: 'IX-01', title: 'root a list', index: '[]', expected: 'IX_ROOT' },
  { id: 'IX-01', title: 'over the cap', index: goodIndex, options: { maxIndexSizeInBytes: 20 }, expected: 'IX_SIZE' },
  { id: 'IX-01', title: 'a web page', index: '<!DOCTYPE html>', expected: 'FILE_IS_HTML' },
  {
    id: 'IX-01',
    title: 'a git-LFS pointer',
    index: 'version https://git-lfs.github.com/spec/v1\n',
    expected: 'FILE_IS_LFS_POINTER',
  },
  { id: 'IX-02', title: 'no weight_map', index: '{"metadata":{}}', expected: 'IX_WEIGHT_MAP' },
  { id: 'IX-02', title: 'weight_map a list', index: '{"weight_map":[]}', expected: 'IX_WEIGHT_MAP' },
  { id: 'IX-02', title: 'weight_map empty', index: '{"weight_map":{}}', expected: 'IX_WEIGHT_MAP' },
  ...['1', 'null', '[]', '{}'].map(
    (value): Case => ({
      id: 'IX-03',
      title: `value ${value}`,
      index: weightMap(`"a":${value}`),
      expected: 'IX_SHARD_NAME',
      says: /tensor a/,
    }),
  ),
  ...named('IX-04', 'IX_PATH_TRAVERSAL', [
    '../x.safetensors',
    'a/../../x.safetensors',
    '..',
    'a/..',
    '..\\x.safetensors',
  ]),
  ...named('IX-05', 'IX_SHARD_NAME', [
    '/etc/x.safetensors',
    'C:x.safetensors',
    'C:\\x.safetensors',
    '\\\\host\\share\\x.safetensors',
    'a\\x.safetensors',
    '//host/x.safetensors',
    'a//x.safetensors',
    './x.safetensors',
    '~/x.safetensors',
    '',
    'é.safetensors',
    'model.bin',
  ]),
  ...named('IX-06', 'IX_SHARD_NAME', [
    'https://host/x.safetensors',
    'file:x.safetensors',
    'data:,x.safetensors',
    'blob:x.safetensors',
  ]),
  ...named('IX-07', 'IX_PATH_TRAVERSAL', [
    '%2e%2e/x.safetensors',
    '..%2fx.safetensors',
    '%2E%2E%5Cx.safetensors',
    '.. /x.safetensors',
  ]),
  ...named('IX-07', 'IX_SHARD_NAME', [
    '%252e%252e/x.safetensors',
    'x\0.safetensors',
    'x.safetensors\0',
    'x.safetensors.',
    'x.safetensors ',
    'a./x.safetensors',
    'a /x.safetensors',
    'con.safetensors',
    'NUL.safetensors',
    'Com1.safetensors',
    'aux/x.safetensors',
    `${'x'.repeat(256)}.safetensors`,
  ]),
  {
    id: 'IX-09',
    title: 'all shards absent, each named',
    index: goodIndex,
    shards: {},
    expected: 'IX_SHARD_MISSING',
    says: /model-00001-of-00002\.safetensors, model-00002-of-00002\.safetensors/,
  },
  {
    id: 'IX-09',
    title: 'one shard absent',
    index: goodIndex,
    shards: { [one]: shard('a') },
    expected: 'IX_SHARD_MISSING',
  },
  {
    id: 'IX-10',
    title: 'tensor not in its shard',
    index: weightMap(`"a":"${one}","b":"${two}","c":"${two}"`),
    expected: 'IX_TENSOR_MISSING',
    says: /it is in none.*file model-00002-of-00002\.safetensors, tensor c/,
  },
  {
    id: 'IX-10',
    title: 'tensor in another shard',
    index: weightMap(`"a":"${two}","b":"${one}"`),
    expected: 'IX_TENSOR_MISSING',
    says: /it is in model-00001/,
  },
  {
    id: 'IX-11',
    title: 'tensor in two shards',
    index: goodIndex,
    shards: { [one]: shard('a', 'b'), [two]: shard('b') },
    expected: 'IX_DUPLICATE_TENSOR',
    says: /tensor b/,
  },
  {
    id: 'IX-11',
    title: 'tensor twice in the map',
    index: weightMap(`"a":"${one}","a":"${two}"`),
    expected: 'IX_DUPLICATE_KEY',
    says: /key a/,
  },
  {
    id: 'IX-12',
    title: 'tensor that the index does not list: a warning',
    index: goodIndex.replace('8', '12'),
    shards: { [one]: shard('a', 'extra'), [two]: shard('b') },
    expected: 'accepted',
    check: (weights) => {
      expect([...weights.tensors.keys()]).toEqual(['a', 'b']);
      expect(weights.warnings).toEqual([
        `${one} holds 1 tensors that model.safetensors.index.json does not list, left out: extra.`,
      ]);
    },
  },
  {
    id: 'IX-12',
    title: 'tensor that the index does not list, in strict mode',
    index: goodIndex,
    shards: { [one]: shard('a', 'extra'), [two]: shard('b') },
    options: { strict: true },
    expected: 'IX_UNLISTED_TENSOR',
    says: /tensor extra/,
  },
  {
    id: 'IX-13',
    title: 'total_size that is wrong',
    index: goodIndex.replace('8', '1e300'),
    expected: 'accepted',
    check: (weights) =>
      expect(weights.warnings).toEqual([expect.stringContaining('total_size of 1e+300 bytes; the shards hold 8')]),
  },
  {
    id: 'IX-13',
    title: 'total_size that is no number',
    index: goodIndex.replace('8', '"8"'),
    expected: 'accepted',
    check: (weights) => expect(weights.warnings).toHaveLength(1),
  },
  {
    id: 'IX-14',
    title: 'a gap in the set',
    index: weightMap('"a":"m-00001-of-00003.safetensors","b":"m-00003-of-00003.safetensors"'),
    expected: 'IX_SHARD_SET',
    says: /first missing is number 2/,
  },
  {
    id: 'IX-14',
    title: 'two totals',
    index: weightMap('"a":"m-00001-of-00002.safetensors","b":"m-00002-of-00003.safetensors"'),
    expected: 'IX_SHARD_SET',
  },
  {
    id: 'IX-14',
    title: 'a number above the total',
    index: weightMap('"a":"m-00003-of-00002.safetensors"'),
    expected: 'IX_SHARD_SET',
  },
  { id: 'IX-14', title: 'number 0', index: weightMap('"a":"m-00000-of-00002.safetensors"'), expected: 'IX_SHARD_SET' },
  {
    id: 'IX-14',
    title: 'one of 999,999,999',
    index: weightMap('"a":"m-00001-of-999999999.safetensors"'),
    expected: 'IX_SHARD_SET',
  },
  {
    id: 'IX-15',
    title: '10,001 shards',
    index: weightMap(Array.from({ length: 10_001 }, (_, i) => `"${i}":"${i}.safetensors"`).join()),
    expected: 'IX_LIMIT',
  },
  {
    id: 'IX-15',
    title: 'more tensors than the limit',
    index: goodIndex,
    options: { maxTensors: 1 },
    expected: 'IX_LIMIT',
  },
  {
    id: 'IX-16',
    title: '__proto__ and constructor as tensors and in names of shards',
    index: weightMap('"__proto__":"constructor.safetensors","constructor":"__proto__.safetensors"'),
    shards: Object.fromEntries([
      ['constructor.safetensors', shard('__proto__')],
      ['__proto__.safetensors', shard('constructor')],
    ]),
    expected: 'accepted',
    check: (weights) => {
      expect(weights.tensors.get('__proto__')?.file).toBe('constructor.safetensors');
      expect(weights.tensors.has('toString')).toBe(false);
    },
  },
  ...named('IX-16', 'IX_SHARD_NAME', ['__proto__']),
  {
    id: 'IX-17',
    title: 'revisions that differ, as the downloader knows them',
    index: goodIndex,
    options: {
      revisions: new Map([
        ['model.safetensors.index.json', 'rev-1'],
        [one, 'rev-1'],
        [two, 'rev-2'],
      ]),
    },
    expected: 'IX_MIXED_REVISIONS',
    says: /rev-1.*rev-2/,
  },
  {
    id: 'IX-17',
    title: 'one revision',
    index: goodIndex,
    options: {
      revisions: new Map([
        [one, 'rev-1'],
        [two, 'rev-1'],
      ]),
    },
    expected: 'accepted',
  },
];

describe('indexes of the catalogue', () => {
  it.each(cases)('$id $title: $expected', async ({ index, shards = goodShards, options, expected, says, check }) => {
    const files = new Map(Object.entries(shards));
    const opened: CountingSource[] = [];
    const open = async (name: string) => {
      const bytes = files.get(name);
      if (bytes === undefined) return undefined;
      opened.push(createCountingSource(createByteSource(bytes, name)));
      return opened.at(-1);
    };
    let code = 'accepted';
    let message = '';
    try {
      const weights = await openShardedSafetensors(index, open, options);
      check?.(weights);
      await weights.close();
    } catch (error) {
      if (!isPhi3Error(error)) throw error;
      code = error.code;
      message = error.message;
      expect(message).toMatch(says ?? /./);
    }
    expect(code, message).toBe(expected);
    if (expected !== 'accepted') expect(Object.keys(weightsErrorCodes)).toContain(expected);
    for (const source of opened) expect(source.isClosed).toBe(true);
  });

  it('rejects each within 50 ms', async () => {
    for (const { id, title, index, shards = goodShards, options, expected } of cases) {
      if (expected === 'accepted') continue;
      const files = new Map(Object.entries(shards));
      const open = async (name: string) => (files.has(name) ? createByteSource(files.get(name)!, name) : undefined);
      let best = Number.POSITIVE_INFINITY;
      for (let run = 0; run < 10 && best >= 50; run++) {
        const start = performance.now();
        await openShardedSafetensors(index, open, options).catch(() => {});
        best = Math.min(best, performance.now() - start);
      }
      expect(best, `${id} ${title}`).toBeLessThan(50);
    }
  });

  it('has a case for each of IX-01 to IX-17', () => {
    const ids = new Set(cases.map(({ id }) => id)).add('IX-08'); // IX-08 needs a disk: below
    expect([...ids].sort()).toEqual(Array.from({ length: 17 }, (_, i) => `IX-${String(i + 1).padStart(2, '0')}`));
  });
});

describe('folders of the catalogue', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'phiblocks-index-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** A model folder with the good index and shards, those in `without` left for the test to make. */
  async function modelFolder(name: string, without: string[] = []): Promise<string> {
    const model = join(folder, name);
    await mkdir(model, { recursive: true });
    await writeFile(join(model, 'model.safetensors.index.json'), goodIndex);
    for (const [file, bytes] of Object.entries(goodShards)) {
      if (!without.includes(file)) await writeFile(join(model, file), bytes);
    }
    return model;
  }

  async function outcome(model: string, options?: SafetensorsDirectoryOptions): Promise<string> {
    const descriptors = async () => (await readdir('/proc/self/fd').catch(() => [])).length;
    const before = await descriptors();
    let code = 'accepted';
    try {
      const weights = await openSafetensorsDirectory(model, options);
      expect([...weights.tensors.keys()].sort()).toEqual(['a', 'b']);
      await weights.readFloats('b');
      await weights.close();
    } catch (error) {
      if (!isPhi3Error(error)) throw error;
      code = error.code;
    }
    expect(await descriptors(), 'no file is left open').toBe(before);
    return code;
  }

  it('opens index and shards, also through a link to the folder itself', async () => {
    const model = await modelFolder('plain');
    expect(await outcome(model)).toBe('accepted');
    await symlink(model, join(folder, 'link-to-plain'));
    expect(await outcome(join(folder, 'link-to-plain'))).toBe('accepted');
  });

  it('IX-08 rejects a shard that is a link out of the folder, and takes one that stays inside', async () => {
    await writeFile(join(folder, 'outside.safetensors'), goodShards[two]!);
    const leaving = await modelFolder('leaving', [two]);
    await symlink(join(folder, 'outside.safetensors'), join(leaving, two));
    expect(await outcome(leaving)).toBe('IX_SYMLINK');
    expect(await outcome(leaving, { allowCacheLinks: true })).toBe('IX_SYMLINK');

    const staying = await modelFolder('staying', [two]);
    await writeFile(join(staying, 'real.safetensors'), goodShards[two]!);
    await symlink('real.safetensors', join(staying, two));
    expect(await outcome(staying)).toBe('accepted');
  });

  it('IX-08 rejects a folder within the model that is a link out of it, and a neighbour with a longer name', async () => {
    const model = join(folder, 'nested');
    await mkdir(model);
    await mkdir(join(folder, 'nested-neighbour'));
    await writeFile(join(folder, 'nested-neighbour', 'x.safetensors'), shard('a', 'b'));
    await symlink(join(folder, 'nested-neighbour'), join(model, 'sub'));
    await writeFile(
      join(model, 'model.safetensors.index.json'),
      weightMap('"a":"sub/x.safetensors","b":"sub/x.safetensors"'),
    );
    expect(await outcome(model)).toBe('IX_SYMLINK');
    await rm(join(model, 'sub'));
    await mkdir(join(model, 'sub'));
    await writeFile(join(model, 'sub', 'x.safetensors'), shard('a', 'b'));
    expect(await outcome(model)).toBe('accepted');
  });

  it('IX-08 rejects an index or a single file that is a link out of the folder', async () => {
    for (const name of ['model.safetensors.index.json', 'model.safetensors']) {
      const model = join(folder, `link-${name}`);
      await mkdir(model);
      await writeFile(join(folder, `outside-${name}`), '{}');
      await symlink(join(folder, `outside-${name}`), join(model, name));
      expect(await outcome(model)).toBe('IX_SYMLINK');
    }
  });

  it('IX-08 takes links into blobs of a Hugging Face cache when asked to, and no others', async () => {
    const repository = join(folder, 'models--owner--name');
    const snapshot = join(repository, 'snapshots', '0'.repeat(40));
    await mkdir(snapshot, { recursive: true });
    await mkdir(join(repository, 'blobs'));
    const files = { 'model.safetensors.index.json': goodIndex, ...goodShards };
    for (const [index, [name, content]] of Object.entries(files).entries()) {
      await writeFile(join(repository, 'blobs', `${index}`), content);
      await symlink(join('..', '..', 'blobs', `${index}`), join(snapshot, name));
    }
    expect(await outcome(snapshot)).toBe('IX_SYMLINK');
    expect(await outcome(snapshot, { allowCacheLinks: true })).toBe('accepted');
    await rm(join(snapshot, two));
    await symlink(join('..', '..', '..', 'outside.safetensors'), join(snapshot, two));
    expect(await outcome(snapshot, { allowCacheLinks: true })).toBe('IX_SYMLINK');
  });

  it('IX-08 rejects a hard link unless it is allowed', async () => {
    const model = await modelFolder('hard', [two]);
    await writeFile(join(folder, 'hard-outside.safetensors'), goodShards[two]!);
    await link(join(folder, 'hard-outside.safetensors'), join(model, two));
    expect(await outcome(model)).toBe('IX_HARD_LINK');
    expect(await outcome(model, { allowHardLinks: true })).toBe('accepted');
  });

  it('IX-09 names every missing shard; a folder in the place of one is no file', async () => {
    expect(await outcome(await modelFolder('missing', [one, two]))).toBe('IX_SHARD_MISSING');
    const model = await modelFolder('folder-as-shard', [two]);
    await mkdir(join(model, two));
    expect(await outcome(model)).toBe('FILE_NOT_REGULAR');
  });

  it('IX-17 rejects index and shards of two commits where the download tool left its records', async () => {
    const model = await modelFolder('mixed');
    const records = join(model, '.cache', 'huggingface', 'download');
    await mkdir(records, { recursive: true });
    const record = (name: string, commit: string, seconds: number) =>
      writeFile(join(records, `${name}.metadata`), `${commit}\n"etag"\n${seconds}\n`);
    const later = Date.now() / 1000 + 10;
    await record('model.safetensors.index.json', 'a'.repeat(40), later);
    await record(one, 'a'.repeat(40), later);
    await record(two, 'a'.repeat(40), later);
    expect(await outcome(model)).toBe('accepted');
    await record(two, 'b'.repeat(40), later);
    expect(await outcome(model)).toBe('IX_MIXED_REVISIONS');
    // A record older than its file tells of a file that is no longer there.
    await utimes(join(model, two), later + 60, later + 60);
    expect(await outcome(model)).toBe('accepted');
    await record(two, 'not a commit', later + 120);
    expect(await outcome(model)).toBe('accepted');
  });

  it('reads the single file where both are, and says so; neither is an error', async () => {
    const model = await modelFolder('both');
    await writeFile(join(model, 'model.safetensors'), shard('a', 'b'));
    const weights = await openSafetensorsDirectory(model);
    expect(weights.tensors.get('b')!.file).toBe('model.safetensors');
    expect(weights.warnings).toEqual(['model.safetensors was read, model.safetensors.index.json beside it was not.']);
    await weights.close();
    await mkdir(join(folder, 'empty'));
    expect(await outcome(join(folder, 'empty'))).toBe('FILE_NOT_FOUND');
    expect(await outcome(join(folder, 'absent'))).toBe('FILE_NOT_FOUND');
    expect(await outcome(model, { followLinks: true } as never)).toBe('OPTION_UNKNOWN');
  });
});
