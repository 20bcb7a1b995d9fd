import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstat, mkdtemp, readdir, readFile, realpath, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createSeededRandom, type HubServer, startHubServer } from '@phiblocks/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fetchCheckpoint } from '../src/node.ts';
import { tinySafetensors } from './tiny-repository.ts';

const child = fileURLToPath(new URL('fetch-child.mjs', import.meta.url));
const numKills = 50;
const sizeInBytes = 200_000;
const weights = tinySafetensors(sizeInBytes, 11);
const sha256 = createHash('sha256').update(weights).digest('hex');
const files = new Map([
  ['config.json', new TextEncoder().encode('{"model_type":"phi3"}')],
  ['model.safetensors', weights],
]);
const nameOf = (number: number): string => `tiny/killed-${number}`;

let server: HubServer;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'phiblocks hub '));
  const names = ['tiny/shared', ...Array.from({ length: numKills }, (_, number) => nameOf(number))];
  server = await startHubServer({
    repositories: new Map(names.map((name) => [name, files])),
    // About 100 ms for the file, so that there are moments to be killed at.
    pace: { pieceInBytes: 4000, pauseMs: 2 },
  });
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

function start(model: string, cacheDirectory: string): { process: ChildProcess; ended: Promise<string> } {
  const started = spawn(process.execPath, [child, server.endpoint, cacheDirectory, model], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  started.stdout.on('data', (text) => {
    stdout += text;
  });
  started.stderr.on('data', (text) => {
    stderr += text;
  });
  const ended = new Promise<string>((resolve, reject) => {
    started.on('close', (status, signal) => {
      if (status === 0 || signal === 'SIGKILL') resolve(stdout);
      else reject(new Error(`status ${status}: ${stderr}`));
    });
  });
  return { process: started, ended };
}

const requestsFor = (model: string) =>
  server.requests.filter(({ what }) => what.startsWith(`/${model}/`) && what.endsWith('model.safetensors'));

/** Every file under a final name, in all caches below a folder, is whole. Returns how many there were. */
async function expectFinalNamesWhole(cacheDirectory: string): Promise<number> {
  let seen = 0;
  for (const name of await readdir(cacheDirectory, { recursive: true })) {
    const path = join(cacheDirectory, name);
    const isBlob = /blobs.[0-9a-f]{40,64}$/.test(name);
    const isSnapshot = /snapshots.[0-9a-f]{40}.[^/]+\.(json|safetensors)$/.test(name);
    if (!isBlob && !isSnapshot) continue;
    if ((await lstat(path)).isDirectory()) continue;
    const real = await realpath(path);
    const bytes = await readFile(real);
    const digits = /[0-9a-f]+$/.exec(real)![0];
    const hash =
      digits.length === 64
        ? createHash('sha256').update(bytes)
        : createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes);
    expect(hash.digest('hex'), path).toBe(digits);
    seen++;
  }
  return seen;
}

describe('DL-09: kill -9 in the middle', () => {
  it(`at ${numKills} seeded moments: nothing unfinished under a final name, and the next call goes on`, async () => {
    const random = createSeededRandom(99);
    // Some moments lie behind the last byte, around the renaming.
    const moments = Array.from({ length: numKills }, () => ({
      afterBytes: Math.floor(random.uniform() * sizeInBytes * 1.2),
      andMs: random.uniform() * 12,
    }));
    let resumed = 0;
    let finished = 0;

    const killOne = async (number: number): Promise<void> => {
      const model = nameOf(number);
      const cacheDirectory = join(folder, `killed ${number}`);
      const { afterBytes, andMs } = moments[number]!;
      const running = start(model, cacheDirectory);
      await new Promise<void>((resolve) => {
        const watch = setInterval(() => {
          const sent = requestsFor(model).reduce((sum, { bytesSent }) => sum + bytesSent, 0);
          if (sent < Math.min(afterBytes, sizeInBytes) && running.process.exitCode === null) return;
          clearInterval(watch);
          setTimeout(resolve, andMs);
        }, 2);
      });
      running.process.kill('SIGKILL');
      await running.ended;

      await expectFinalNamesWhole(cacheDirectory);
      const blobs = join(cacheDirectory, `models--tiny--killed-${number}`, 'blobs');
      const names = await readdir(blobs).catch((): string[] => []);
      const isWhole = names.includes(sha256);
      const partials = names.filter((name) => name.startsWith(sha256) && name.endsWith('.incomplete'));
      expect(partials.length).toBeLessThanOrEqual(1);
      const received = partials.length === 0 ? 0 : (await stat(join(blobs, partials[0]!))).size;
      const before = requestsFor(model).length;

      const { files: got } = await fetchCheckpoint({ model, endpoint: server.endpoint, cacheDirectory, token: false });
      expect((await readFile(got.get('model.safetensors')!.path!)).equals(weights)).toBe(true);
      const asked = requestsFor(model).slice(before);
      if (isWhole || received === sizeInBytes) {
        expect(asked).toEqual([]);
        finished++;
      } else {
        // What had been received was not fetched again.
        expect(asked.map(({ headers }) => headers.range)).toEqual([received > 0 ? `bytes=${received}-` : undefined]);
        expect(asked[0]!.bytesSent).toBe(sizeInBytes - received);
        if (received > 0) resumed++;
      }
      expect(await expectFinalNamesWhole(cacheDirectory)).toBe(4);
      expect((await readdir(blobs)).length).toBe(2);
    };

    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < numKills) await killOne(next++);
    };
    await Promise.all(Array.from({ length: 5 }, worker));
    // The moments are spread: most fall into the download, some behind it.
    expect(resumed).toBeGreaterThan(numKills / 4);
    expect(finished).toBeGreaterThan(0);
  });
});

it('DL-14: two processes fetch the same file at once: one download, both correct', async () => {
  const cacheDirectory = join(folder, 'shared');
  const outputs = await Promise.all([1, 2].map(() => start('tiny/shared', cacheDirectory).ended));
  const results = outputs.map((text) => JSON.parse(text) as { path: string; origin: string });
  expect(results[0]!.path).toBe(results[1]!.path);
  expect((await readFile(results[0]!.path)).equals(weights)).toBe(true);
  expect(results.map(({ origin }) => origin).sort()).toEqual(['cache', 'network']);
  expect(requestsFor('tiny/shared').map(({ headers, bytesSent }) => [headers.range, bytesSent])).toEqual([
    [undefined, sizeInBytes],
  ]);
});
