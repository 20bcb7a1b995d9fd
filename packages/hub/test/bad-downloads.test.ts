import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type HubServer, type HubServerFault, startHubServer } from '@phiblocks/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CacheStorage, HubClock, HubProgress } from '../src/index.ts';
import { createHub, createNobleHash } from '../src/index.ts';
import { createNodeHub, createNodeStorage, fetchCheckpoint, findCached, verifyCheckpoint } from '../src/node.ts';
import { tinySafetensors } from './tiny-repository.ts';

// The class DL of the catalogue of bad input, row by row, on a server that misbehaves.

const weights = tinySafetensors(300_000, 7);
const sha256 = createHash('sha256').update(weights).digest('hex');
const files = new Map([
  ['config.json', new TextEncoder().encode('{"model_type":"phi3"}')],
  ['model.safetensors', weights],
]);
const model = 'tiny/checkpoint';

let server: HubServer;
let folder: string;
let cacheDirectory: string;
const slept: number[] = [];

/** No waiting, and a record of how long it would have been. Limits on silence are left to the real clock. */
const clock: HubClock = {
  now: () => Date.UTC(2026, 10, 21),
  random: () => 0.5,
  sleep: (ms, signal) => {
    if (ms >= idleTimeoutMs)
      return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
    slept.push(ms);
    return Promise.resolve();
  },
};
const idleTimeoutMs = 1_000_000;

const options = () => ({
  model,
  endpoint: server.endpoint,
  cacheDirectory,
  clock,
  idleTimeoutMs,
  token: false as const,
});
const blobs = () => join(cacheDirectory, 'models--tiny--checkpoint', 'blobs');
const snapshot = (name: string) => join(cacheDirectory, 'models--tiny--checkpoint', 'snapshots', server.commit, name);
const weightRequests = () => server.requests.filter(({ file }) => file === 'model.safetensors');
const partials = async () => (await readdir(blobs()).catch(() => [])).filter((name) => name.endsWith('.incomplete'));

beforeEach(async () => {
  slept.length = 0;
  folder = await mkdtemp(join(tmpdir(), 'phiblocks hub '));
  cacheDirectory = join(folder, 'cache');
  server = await startHubServer({ repositories: new Map([[model, files]]) });
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

/** Misbehaves on the weights only, as often as told. */
function onWeights(
  times: number,
  misbehave: (response: ServerResponse, headers: IncomingMessage['headers']) => void,
): HubServerFault {
  let left = times;
  return (request, response) => {
    if (request.file !== 'model.safetensors' || left-- <= 0) return false;
    misbehave(response, request.headers);
    return true;
  };
}

/** Drops a connection once what was sent has arrived: a client forgets what it has not read when it learns of the drop. */
function dropSoon(response: ServerResponse): void {
  setTimeout(() => response.destroy(), 20);
}

async function expectWhole(): Promise<void> {
  expect(
    createHash('sha256')
      .update(await readFile(snapshot('model.safetensors')))
      .digest('hex'),
  ).toBe(sha256);
  expect(await partials()).toEqual([]);
}

async function expectNothingCommitted(): Promise<void> {
  expect(existsSync(snapshot('model.safetensors'))).toBe(false);
  expect(existsSync(join(blobs(), sha256))).toBe(false);
}

describe('DL-01: who may not, and what is not', () => {
  it.each([
    [401, { 'x-error-code': 'GatedRepo' }, 'HUB_GATED'],
    [403, { 'x-error-code': 'GatedRepo' }, 'HUB_GATED'],
    [401, {}, 'HUB_UNAUTHORIZED'],
    [401, { 'x-error-code': 'RepoNotFound' }, 'HUB_REPOSITORY_NOT_FOUND'],
    [404, { 'x-error-code': 'EntryNotFound' }, 'HUB_FILE_NOT_FOUND'],
    [404, { 'x-error-code': 'RevisionNotFound' }, 'HUB_REVISION_NOT_FOUND'],
    [404, {}, 'HUB_FILE_NOT_FOUND'],
    [451, {}, 'HUB_STATUS'],
  ])('%s %o is %s, with the page to open, at once', async (status, headers, code) => {
    server.setFault(onWeights(100, (response) => response.writeHead(status, headers).end('no')));
    const error = await fetchCheckpoint(options()).catch((error) => error);
    expect(error).toMatchObject({ code });
    expect(error.message).toContain(`${server.endpoint}/tiny/checkpoint`);
    expect(weightRequests()).toHaveLength(1);
    await expectNothingCommitted();
  });

  it('tells a repository and a revision that do not exist apart', async () => {
    await expect(fetchCheckpoint({ ...options(), model: 'tiny/none' })).rejects.toMatchObject({
      code: 'HUB_REPOSITORY_NOT_FOUND',
    });
    await expect(fetchCheckpoint({ ...options(), revision: 'none' })).rejects.toMatchObject({
      code: 'HUB_REVISION_NOT_FOUND',
    });
    await expect(fetchCheckpoint({ ...options(), files: ['none.json'] })).rejects.toMatchObject({
      code: 'HUB_FILE_NOT_FOUND',
    });
  });
});

describe('DL-02: a server that fails for a while', () => {
  it.each([429, 500, 502, 503, 504])('status %s is tried again', async (status) => {
    server.setFault(onWeights(2, (response) => response.writeHead(status).end()));
    await fetchCheckpoint(options());
    // Half a second and one second, less a quarter of each (the random part is one half).
    expect(slept).toEqual([375, 750]);
    await expectWhole();
  });

  it('Retry-After is honoured, in seconds and as a date', async () => {
    const later = new Date(clock.now() + 9000).toUTCString();
    const waits = ['7', later];
    server.setFault(onWeights(2, (response) => response.writeHead(429, { 'retry-after': waits.shift() }).end()));
    await fetchCheckpoint(options());
    expect(slept.map(Math.round)).toEqual([7350, 9450]);
  });

  it('a wait of an hour is not waited for', async () => {
    server.setFault(onWeights(100, (response) => response.writeHead(503, { 'retry-after': '3600' }).end()));
    await expect(fetchCheckpoint(options())).rejects.toMatchObject({ code: 'NET', retryable: true });
    expect(slept).toEqual([]);
  });

  it('a server that never recovers is NET', async () => {
    server.setFault(onWeights(100, (response) => response.writeHead(503).end()));
    await expect(fetchCheckpoint(options())).rejects.toMatchObject({ code: 'NET' });
    expect(weightRequests()).toHaveLength(6);
  });

  it.each([
    ['a name that does not resolve', 'ENOTFOUND'],
    ['a certificate that does not fit', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['nobody listening', 'ECONNREFUSED'],
  ])('%s is NET', async (_, cause) => {
    let calls = 0;
    const failing = async (): Promise<Response> => {
      calls++;
      throw new TypeError('fetch failed', { cause: Object.assign(new Error(cause), { code: cause }) });
    };
    const error = await fetchCheckpoint({ ...options(), fetch: failing }).catch((error) => error);
    expect(error).toMatchObject({ code: 'NET', retryable: true });
    expect(error.message).toContain(cause);
    expect(calls).toBe(6);
  });

  it('a connection on which nothing arrives is given up', async () => {
    server.setFault(onWeights(1, () => {}));
    const real: HubClock = {
      ...clock,
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          const timer = setTimeout(resolve, Math.min(ms, 300));
          signal?.addEventListener('abort', () => {
            clearTimeout(timer);
            reject(signal.reason);
          });
        }),
    };
    await fetchCheckpoint({ ...options(), clock: real, idleTimeoutMs: 300 });
    await expectWhole();
  });
});

it.each([
  ['DL-03', 'a web page', '<!DOCTYPE html><html>Not found</html>', 'FILE_IS_HTML'],
  ['DL-03', 'a JSON error', '{"error":"Internal"}', 'HUB_CONTENT'],
  ['DL-03', 'a long web page', `<html>${' '.repeat(400_000)}</html>`, 'FILE_IS_HTML'],
  [
    'DL-04',
    'a git-LFS pointer',
    `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize 300000\n`,
    'FILE_IS_LFS_POINTER',
  ],
])('%s: %s with status 200', async (_, __, body, code) => {
  server.setFault(onWeights(100, (response) => response.writeHead(200).end(body)));
  await expect(fetchCheckpoint(options())).rejects.toMatchObject({ code });
  await expectNothingCommitted();
  expect(await partials()).toEqual([]);
});

it('DL-05: a body shorter than its Content-Length is never committed, and gone on with', async () => {
  server.setFault(
    onWeights(1, (response) => {
      response.writeHead(200, { 'content-length': weights.byteLength, etag: `"${sha256}"` });
      response.write(weights.subarray(0, 100_000), () => dropSoon(response));
    }),
  );
  await fetchCheckpoint(options());
  expect(weightRequests()[1]!.headers.range).toMatch(/^bytes=\d+-$/);
  await expectWhole();
});

it('DL-05: a server that always drops the connection is NET, and the next call goes on', async () => {
  server.setFault(
    onWeights(100, (response, headers) => {
      const from = Number(/\d+/.exec(headers.range ?? '0')![0]);
      const body = weights.subarray(from);
      const range = { 'content-range': `bytes ${from}-${weights.byteLength - 1}/${weights.byteLength}` };
      response.writeHead(from > 0 ? 206 : 200, { 'content-length': body.byteLength, ...(from > 0 && range) });
      response.write(body.subarray(0, 20_000), () => dropSoon(response));
    }),
  );
  await expect(fetchCheckpoint(options())).rejects.toMatchObject({ code: 'NET' });
  await expectNothingCommitted();
  const [partial] = await partials();
  const received = (await stat(join(blobs(), partial!))).size;
  expect(received).toBeGreaterThan(0);
  server.setFault(undefined);
  server.requests.length = 0;
  await fetchCheckpoint(options());
  expect(weightRequests().map(({ headers }) => headers.range)).toEqual([`bytes=${received}-`]);
  expect(weightRequests()[0]!.bytesSent).toBe(weights.byteLength - received);
  await expectWhole();
});

it('DL-05: a Content-Length below the size is no end, one above it is another file', async () => {
  server.setFault(
    onWeights(1, (response) => response.writeHead(200, { 'content-length': 50_000 }).end(weights.subarray(0, 50_000))),
  );
  await fetchCheckpoint(options());
  expect(weightRequests()[1]!.headers.range).toBe('bytes=50000-');
  await expectWhole();

  await rm(cacheDirectory, { recursive: true });
  const longer = Buffer.concat([weights, Buffer.alloc(10)]);
  server.setFault(
    onWeights(100, (response) => response.writeHead(200, { 'content-length': longer.length }).end(longer)),
  );
  await expect(fetchCheckpoint(options())).rejects.toMatchObject({ code: 'INTEGRITY', got: 'a body of 300010 bytes' });
  await expectNothingCommitted();
});

it('DL-06: without Content-Length the hash decides', async () => {
  server.setFault(
    onWeights(1, (response) => {
      response.writeHead(200); // chunked
      response.write(weights.subarray(0, 1000));
      response.end(weights.subarray(1000));
    }),
  );
  await fetchCheckpoint(options());
  expect(weightRequests()).toHaveLength(1);
  await expectWhole();
});

it('DL-07: a compressed body is counted as it is decoded', async () => {
  const packed = gzipSync(weights);
  server.setFault(
    onWeights(1, (response) =>
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': packed.length }).end(packed),
    ),
  );
  const events: HubProgress[] = [];
  await fetchCheckpoint({ ...options(), onProgress: (event) => events.push(event) });
  const percentages = events.flatMap((event) =>
    event.status === 'progress' && event.file === 'model.safetensors' ? [event.progress] : [],
  );
  expect(Math.max(...percentages)).toBe(100);
  await expectWhole();
});

it('DL-08: an aborted download keeps what it has, and the next one goes on', async () => {
  const controller = new AbortController();
  server.setFault(
    onWeights(1, (response) => {
      response.writeHead(200, { 'content-length': weights.byteLength, etag: `"${sha256}"` });
      response.write(weights.subarray(0, 120_000));
    }),
  );
  const error = await fetchCheckpoint({
    ...options(),
    signal: controller.signal,
    onProgress: (event) => {
      if (event.status === 'progress' && event.file === 'model.safetensors' && event.loaded >= 120_000)
        controller.abort();
    },
  }).catch((error) => error);
  expect(error).toMatchObject({ code: 'ABORTED', retryable: true });
  await expectNothingCommitted();
  await fetchCheckpoint(options());
  expect(weightRequests().at(-1)!.headers).toMatchObject({ range: 'bytes=120000-', 'if-range': `"${sha256}"` });
  expect(weightRequests().at(-1)!.bytesSent).toBe(180_000);
  await expectWhole();
});

// DL-09, kill -9, and DL-14, two processes, are in processes.test.ts.

/** Leaves 120,000 bytes of the weights, as an earlier call would. */
async function leavePartial(bytes = weights.subarray(0, 120_000), etag = `"${sha256}"`): Promise<void> {
  await mkdir(blobs(), { recursive: true });
  await writeFile(join(blobs(), `${sha256}.01234567.phiblocks.incomplete`), bytes);
  await writeFile(join(blobs(), `${sha256}.phiblocks.etag`), etag);
}

it('DL-10: a server that ignores Range begins anew, nothing is appended', async () => {
  await leavePartial();
  server.setFault(onWeights(1, (response) => response.writeHead(200).end(weights)));
  await fetchCheckpoint(options());
  expect(weightRequests()).toHaveLength(1);
  await expectWhole();
});

it('DL-10: a 206 with another range begins anew', async () => {
  await leavePartial();
  server.setFault(
    onWeights(1, (response) =>
      response.writeHead(206, { 'content-range': 'bytes 100000-299999/300000' }).end(weights.subarray(100_000)),
    ),
  );
  await fetchCheckpoint(options());
  expect(weightRequests().map(({ headers }) => headers.range)).toEqual(['bytes=120000-', undefined]);
  await expectWhole();
});

it('DL-11: 416 drops the partial file and begins anew', async () => {
  await leavePartial();
  server.setFault(onWeights(1, (response) => response.writeHead(416, { 'content-range': 'bytes */100' }).end()));
  await fetchCheckpoint(options());
  expect(weightRequests().map(({ headers }) => headers.range)).toEqual(['bytes=120000-', undefined]);
  await expectWhole();
});

it('DL-12: an ETag that changed begins anew (If-Range)', async () => {
  await leavePartial(new Uint8Array(120_000), '"older"');
  await fetchCheckpoint(options());
  expect(weightRequests().map(({ headers }) => headers['if-range'])).toEqual(['"older"']);
  expect(weightRequests()[0]!.bytesSent).toBe(weights.byteLength);
  await expectWhole();
});

it('DL-12: a 206 with another ETag begins anew, also when the server knows no If-Range', async () => {
  await leavePartial();
  server.setFault(
    onWeights(1, (response) =>
      response
        .writeHead(206, { etag: '"newer"', 'content-range': 'bytes 120000-299999/300000' })
        .end(weights.subarray(120_000)),
    ),
  );
  await fetchCheckpoint(options());
  expect(weightRequests().map(({ headers }) => headers.range)).toEqual(['bytes=120000-', undefined]);
  await expectWhole();
});

describe('DL-13: a hash that does not fit', () => {
  const flipped = weights.slice();
  flipped[200_000]! ^= 1;

  it('is set aside and fetched once more', async () => {
    server.setFault(onWeights(1, (response) => response.writeHead(200).end(flipped)));
    await fetchCheckpoint(options());
    expect(weightRequests()).toHaveLength(2);
    await expectWhole();
    expect(existsSync(join(cacheDirectory, 'models--tiny--checkpoint', '.phiblocks', 'quarantine', sha256))).toBe(
      false,
    );
  });

  it('and then is INTEGRITY, with the wrong bytes in quarantine', async () => {
    server.setFault(onWeights(100, (response) => response.writeHead(200).end(flipped)));
    await expect(fetchCheckpoint(options())).rejects.toMatchObject({ code: 'INTEGRITY' });
    expect(weightRequests()).toHaveLength(2);
    await expectNothingCommitted();
    expect(await partials()).toEqual([]);
    const kept = join(cacheDirectory, 'models--tiny--checkpoint', '.phiblocks', 'quarantine', sha256);
    expect(Buffer.from(flipped).equals(await readFile(kept))).toBe(true);
  });

  it('is found in a partial file too', async () => {
    await leavePartial(flipped.subarray(0, 250_000));
    await fetchCheckpoint(options());
    expect(weightRequests().map(({ headers }) => headers.range)).toEqual(['bytes=250000-', undefined]);
    await expectWhole();
  });

  it('holds for small files, which git names by SHA-1', async () => {
    server.setFault((request, response) => {
      if (request.file !== 'config.json') return false;
      response.writeHead(200).end('{"model_type":"phi4"}');
      return true;
    });
    await expect(fetchCheckpoint(options())).rejects.toMatchObject({
      code: 'INTEGRITY',
      expected: expect.stringContaining('git-sha1'),
    });
  });
});

describe('DL-15: a full disk', () => {
  it('is said before the first byte, with what is needed and there', async () => {
    await leavePartial();
    const storageOptions = { freeSpaceInBytes: async () => 100_000 };
    await expect(fetchCheckpoint({ ...options(), storageOptions })).rejects.toMatchObject({
      code: 'DISK_FULL',
      expected: '180000 bytes of free space',
      got: '100000 bytes',
    });
    expect(weightRequests()).toEqual([]);
    expect(await partials()).toHaveLength(1);
  });

  it('that fills up on the way gets its space back', async () => {
    const storage = createNodeStorage(cacheDirectory);
    const filling: CacheStorage = {
      ...storage,
      freeSpaceInBytes: async () => undefined,
      openPartial: async (path) => {
        const partial = await storage.openPartial(path);
        return {
          get sizeInBytes() {
            return partial.sizeInBytes;
          },
          read: partial.read,
          clear: partial.clear,
          close: partial.close,
          append: async (bytes) => {
            if (partial.sizeInBytes > 200_000) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
            await partial.append(bytes);
          },
        };
      },
    };
    const hub = createHub({
      storage: filling,
      createHash: createNobleHash,
      endpoint: server.endpoint,
      clock,
      idleTimeoutMs,
    });
    await expect(hub.fetchCheckpoint({ model })).rejects.toMatchObject({ code: 'DISK_FULL' });
    await expectNothingCommitted();
    expect(await partials()).toEqual([]);
  });
});

describe('DL-16: a cache that cannot be written to', () => {
  beforeEach(() => writeFile(join(folder, 'file'), ''));
  // A folder below a file cannot be made by anybody, not even by the root user that tests may run as.
  const unwritable = () => ({ ...options(), cacheDirectory: join(folder, 'file', 'cache') });

  it('is an error that names the variable', async () => {
    const error = await fetchCheckpoint(unwritable()).catch((error) => error);
    expect(error).toMatchObject({ code: 'CACHE_READ_ONLY' });
    expect(error.message).toContain('HF_HUB_CACHE');
  });

  it('is gone round by memory when asked to', async () => {
    const { model: _, ...more } = unwritable();
    const hub = await createNodeHub({ ...more, whenStoreFails: 'memory' });
    const { files: got, warnings } = await hub.fetchCheckpoint({ model });
    const source = await got.get('model.safetensors')!.open();
    expect(Buffer.from(weights).equals(await source.read(0, source.sizeInBytes))).toBe(true);
    await source.close();
    expect(warnings.join()).toContain('CACHE_READ_ONLY');
  });
});

// DL-17 and DL-18, quotas and missing storage of browsers, are in browser-storage.test.ts.

describe('DL-19, DL-20: a file in the cache that is not what it was', () => {
  beforeEach(() => fetchCheckpoint(options()));
  const blob = () => join(blobs(), sha256);

  it('DL-19: a flipped byte where samples are taken is found on opening', async () => {
    const bytes = await readFile(blob());
    bytes[10]! ^= 1;
    await writeFile(blob(), bytes);
    expect((await findCached({ model, cacheDirectory }))!.missing).toEqual(['model.safetensors']);
    await fetchCheckpoint(options());
    await expectWhole();
  });

  it('DL-19: any flipped byte is found by verifying', async () => {
    const bytes = await readFile(blob());
    bytes[123_456]! ^= 1;
    await writeFile(blob(), bytes);
    const verified = await verifyCheckpoint({ ...options(), offline: true });
    expect(verified.map(({ name, status }) => [name, status])).toEqual([
      ['config.json', 'whole'],
      ['model.safetensors', 'damaged'],
    ]);
  });

  it('DL-20: another size is fetched again', async () => {
    await writeFile(blob(), weights.subarray(0, 1000));
    server.requests.length = 0;
    await fetchCheckpoint(options());
    expect(weightRequests()).toHaveLength(1);
    await expectWhole();
  });
});

it('DL-21: the lock of a dead process, or of one that shows no sign of life, is no obstacle', async () => {
  const locks = join(cacheDirectory, '.locks', 'models--tiny--checkpoint');
  await mkdir(locks, { recursive: true });
  const silent = join(locks, `${sha256}.000000000000001.aaaaaaaa.phiblocks.lock`);
  await writeFile(silent, JSON.stringify({ pid: process.pid, host: 'another machine' }));
  const longAgo = new Date(Date.now() - 120_000);
  await utimes(silent, longAgo, longAgo);
  await fetchCheckpoint(options());
  await expectWhole();
  expect(await readdir(locks)).toEqual([]);
});

it('DL-22: a link that leads out of the cache is not followed', async () => {
  await fetchCheckpoint(options());
  const secret = join(folder, 'secret.json');
  await writeFile(secret, '{"model_type":"phi3"}');
  await rm(snapshot('config.json'));
  await symlink(secret, snapshot('config.json'));
  await expect(fetchCheckpoint(options())).rejects.toMatchObject({ code: 'CACHE_LINK' });
  await expect(findCached({ model, cacheDirectory })).rejects.toMatchObject({ code: 'CACHE_LINK' });
});

describe('DL-23: offline', () => {
  const noNetwork = (): never => {
    throw new Error('the network was used');
  };

  it('finds what is there', async () => {
    await fetchCheckpoint(options());
    const { files: got } = await fetchCheckpoint({ ...options(), offline: true, fetch: noNetwork });
    expect([...got.keys()]).toEqual(['config.json', 'model.safetensors']);
    expect([...got.values()].map(({ origin }) => origin)).toEqual(['cache', 'cache']);
  });

  it('lists what is missing', async () => {
    await fetchCheckpoint(options());
    await rm(snapshot('config.json'));
    await rm(snapshot('model.safetensors'));
    const error = await fetchCheckpoint({ ...options(), offline: true, fetch: noNetwork }).catch((error) => error);
    expect(error).toMatchObject({ code: 'HUB_OFFLINE' });
    expect(error.message).toContain('config.json, model.safetensors');
  });

  it('says so when it knows nothing of the revision', async () => {
    const asked = { ...options(), revision: 'v2', offline: true, fetch: noNetwork };
    await expect(fetchCheckpoint(asked)).rejects.toMatchObject({ code: 'HUB_OFFLINE' });
  });
});

describe('DL-24: a redirect to another host', () => {
  it('takes no token along; one on the same host does', async () => {
    const seen: IncomingMessage['headers'][] = [];
    const storage = createServer((request, response) => {
      seen.push(request.headers);
      response.writeHead(200, { 'content-length': weights.byteLength }).end(weights);
    });
    await new Promise<void>((resolve) => storage.listen(0, '127.0.0.1', resolve));
    const elsewhere = `http://127.0.0.1:${(storage.address() as AddressInfo).port}/blob`;
    const ways = ['/tiny/checkpoint/resolve/main/model.safetensors', elsewhere];
    server.setFault(onWeights(2, (response) => response.writeHead(302, { location: ways.shift() }).end()));
    try {
      await fetchCheckpoint({ ...options(), token: 'secret' });
    } finally {
      await new Promise((resolve) => storage.close(resolve));
    }
    expect(weightRequests().map(({ headers }) => headers.authorization)).toEqual(['Bearer secret', 'Bearer secret']);
    expect(seen.map(({ authorization }) => authorization)).toEqual([undefined]);
    await expectWhole();
  });

  it.each([
    ['in a circle', '/tiny/checkpoint/resolve/main/model.safetensors'],
    ['to a file of this machine', 'file:///etc/passwd'],
    ['to nowhere', 'http://'],
  ])('%s is HUB_REDIRECT', async (_, location) => {
    server.setFault(onWeights(100, (response) => response.writeHead(302, { location }).end()));
    await expect(fetchCheckpoint(options())).rejects.toMatchObject({ code: 'HUB_REDIRECT' });
    await expectNothingCommitted();
  });
});

describe('DL-25: names', () => {
  it.each([
    ['model', { model: '../etc' }],
    ['model', { model: 'a/../b' }],
    ['model', { model: 'a--b/c' }],
    ['model', { model: 'a/b/c' }],
    ['model', { model: '-a/b' }],
    ['model', { model: 'a/b.git' }],
    ['model', { model: 'a/b\u0000' }],
    ['model', { model: 'a/b:' }],
    ['revision', { revision: '../main' }],
    ['revision', { revision: 'a\nb' }],
    ['revision', { revision: 'refs/../../x' }],
    ['revision', { revision: '' }],
    ['subfolder', { subfolder: '..' }],
    ['subfolder', { subfolder: '/etc' }],
    ['files', { files: ['../../x'] }],
    ['files', { files: ['a\\b'] }],
    ['files', { files: ['C:x'] }],
    ['files', { files: ['nul.json'] }],
    ['files', { files: ['a\u202eb'] }],
  ])('%s %o is HUB_NAME before anything is asked', async (_, change) => {
    await expect(fetchCheckpoint({ ...options(), ...change })).rejects.toMatchObject({ code: 'HUB_NAME' });
    expect(server.requests).toEqual([]);
  });

  it.each(['../../evil.json', '/etc/evil.json', 'a/../../evil.json', '..\\evil.json', 'evil\u0000.json'])(
    'a file that the hub lists as %j is never asked for',
    async (path) => {
      server.setFault((request, response) => {
        if (request.what !== 'tree') return false;
        const entry = { type: 'file', path, size: 1, oid: '0'.repeat(40) };
        const config = { ...entry, path: 'config.json' };
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify([entry, config]));
        return true;
      });
      await expect(fetchCheckpoint(options())).rejects.toMatchObject({ code: 'HUB_NO_WEIGHTS' });
      expect(server.requests.every(({ file }) => file === undefined)).toBe(true);
    },
  );
});

it('DL-26: blobs are named by their hash, whatever the file is called', async () => {
  const long = `${'x'.repeat(200)}.json`;
  const upper = new Map([
    ...files,
    ['CONFIG.json', new TextEncoder().encode('{}')],
    [long, new TextEncoder().encode('[]')],
  ]);
  await server.close();
  server = await startHubServer({ repositories: new Map([[model, upper]]) });
  await fetchCheckpoint({ ...options(), files: ['config.json', 'CONFIG.json', long] });
  const names = await readdir(blobs());
  expect(names).toHaveLength(3);
  expect(names.every((name) => /^[0-9a-f]{40}$/.test(name))).toBe(true);
});

it('DL-27: no read or write is larger than a few megabytes, so a file may be of any size', async () => {
  const storage = createNodeStorage(cacheDirectory);
  const lengths: number[] = [];
  const large = tinySafetensors(9_000_000, 3);
  await server.close();
  server = await startHubServer({
    repositories: new Map([[model, new Map([...files, ['model.safetensors', large]])]]),
  });
  const watched: CacheStorage = {
    ...storage,
    open: async (path) => {
      const source = await storage.open(path);
      const read: typeof source.read = (offset, length) => {
        lengths.push(length);
        return source.read(offset, length);
      };
      return { ...source, read };
    },
    openPartial: async (path) => {
      const partial = await storage.openPartial(path);
      const append = (bytes: Uint8Array): Promise<void> => {
        lengths.push(bytes.byteLength);
        return partial.append(bytes);
      };
      return Object.create(partial, { append: { value: append } });
    },
  };
  const hub = createHub({
    storage: watched,
    createHash: createNobleHash,
    endpoint: server.endpoint,
    clock,
    idleTimeoutMs,
  });
  await hub.fetchCheckpoint({ model });
  await hub.verifyCheckpoint({ model });
  expect(Math.max(...lengths)).toBeLessThanOrEqual(2 ** 22);
});

it('DL-28: looking into the cache writes nothing, not even the folder', async () => {
  expect(await findCached({ model, cacheDirectory })).toBeUndefined();
  expect(existsSync(cacheDirectory)).toBe(false);
  await fetchCheckpoint(options());
  const times = async () => {
    const names = await readdir(cacheDirectory, { recursive: true });
    return Promise.all(names.sort().map(async (name) => [name, (await stat(join(cacheDirectory, name))).mtimeMs]));
  };
  const before = await times();
  await findCached({ model, cacheDirectory });
  await verifyCheckpoint({ ...options(), offline: true });
  expect(await times()).toEqual(before);
});

it('answers that are not those of the hub are HUB_RESPONSE', async () => {
  for (const body of ['<html>', '[]', '{"sha":"main"}', 'null']) {
    server.setFault((request, response) => {
      if (request.what !== 'info') return false;
      response.writeHead(200, { 'content-type': 'application/json' }).end(body);
      return true;
    });
    await expect(fetchCheckpoint(options()), body).rejects.toMatchObject({ code: 'HUB_RESPONSE' });
  }
  for (const body of [
    '{}',
    '[{"type":"file","path":1,"size":1,"oid":"x"}]',
    '[{"type":"file","path":"a","size":-1}]',
  ]) {
    server.setFault((request, response) => {
      if (request.what !== 'tree') return false;
      response.writeHead(200, { 'content-type': 'application/json' }).end(body);
      return true;
    });
    await expect(fetchCheckpoint(options()), body).rejects.toMatchObject({ code: 'HUB_RESPONSE' });
  }
});
