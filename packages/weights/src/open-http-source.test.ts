import { describe, expect, it } from 'vitest';
import { openHttpSource } from './open-http-source.ts';

const address = 'https://models.example/folder/a%20model.bin';
const file = Uint8Array.from({ length: 1000 }, (_, index) => index % 251);

interface FakeServer {
  fetch: typeof fetch;
  /** The ranges asked for. */
  asked: (string | null)[];
}

/** A server that knows ranges, unless `answer` says something else. */
function serve(
  bytes: Uint8Array<ArrayBuffer> = file,
  answer?: (start: number, end: number, request: number) => Response | undefined,
): FakeServer {
  const asked: (string | null)[] = [];
  return {
    asked,
    async fetch(_url, init) {
      init?.signal?.throwIfAborted();
      const range = new Headers(init?.headers).get('range');
      asked.push(range);
      const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range!)!;
      const start = Number(from);
      const end = Math.min(Number(to) + 1, bytes.length);
      const own = answer?.(start, end, asked.length - 1);
      if (own) return own;
      if (start >= bytes.length) {
        return new Response(null, { status: 416, headers: { 'content-range': `bytes */${bytes.length}` } });
      }
      return part(bytes.slice(start, end), `bytes ${start}-${end - 1}/${bytes.length}`);
    },
  };
}

function part(body: BodyInit | null, contentRange?: string, more: Record<string, string> = {}): Response {
  return new Response(body, {
    status: 206,
    headers: { ...(contentRange ? { 'content-range': contentRange } : {}), ...more },
  });
}

const text = (value: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(value);

describe('openHttpSource', () => {
  it('asks for what is read and no more', async () => {
    const { fetch, asked } = serve();
    const source = await openHttpSource(address, { fetch });
    expect([source.name, source.sizeInBytes]).toEqual(['a model.bin', 1000]);
    expect([...(await source.read(10, 3))]).toEqual([10, 11, 12]);
    const into = new Uint8Array(2);
    expect(await source.read(998, 2, into)).toBe(into);
    expect([...into]).toEqual([...file.subarray(998)]);
    expect(await source.read(1000, 0)).toHaveLength(0);
    expect(asked).toEqual(['bytes=0-127', 'bytes=10-12', 'bytes=998-999']);
  });

  it('calls fetch as a function and not as a method, which browsers refuse', async () => {
    const server = serve();
    const fetch = function (this: unknown, ...args: Parameters<typeof globalThis.fetch>): Promise<Response> {
      if (this !== undefined && this !== globalThis) throw new TypeError('Illegal invocation');
      return server.fetch(...args);
    };
    const source = await openHttpSource(address, { fetch });
    expect([...(await source.read(10, 1))]).toEqual([10]);
  });

  it('rejects ranges outside without asking, a wrong `into`, and everything after closing', async () => {
    const { fetch, asked } = serve();
    const source = await openHttpSource(address, { fetch });
    await expect(source.read(999, 2)).rejects.toMatchObject({ code: 'FILE_RANGE' });
    await expect(source.read(0, 2, new Uint8Array(3))).rejects.toMatchObject({ code: 'SHAPE' });
    await source.close();
    await source.close();
    await expect(source.read(0, 1)).rejects.toMatchObject({ code: 'FILE_CLOSED' });
    expect(asked).toHaveLength(1);
  });

  it('opens files of no bytes and of fewer than the first request asks for', async () => {
    expect((await openHttpSource(address, { fetch: serve(new Uint8Array(0)).fetch })).sizeInBytes).toBe(0);
    const source = await openHttpSource(address, { fetch: serve(text('{}')).fetch });
    expect(await source.read(0, 2)).toEqual(text('{}'));
  });

  it('DL-10 holds a small file of a server without ranges, and refuses a large one', async () => {
    const small = await openHttpSource(address, { fetch: serve(file, () => new Response(file)).fetch });
    expect([...(await small.read(10, 3))]).toEqual([10, 11, 12]);
    await small.close();
    await expect(small.read(0, 1)).rejects.toMatchObject({ code: 'FILE_CLOSED' });

    let pulled = 0;
    const endless = () =>
      new Response(
        new ReadableStream({
          pull(controller) {
            pulled++;
            controller.enqueue(new Uint8Array(2 ** 20));
          },
        }),
      );
    await expect(openHttpSource(address, { fetch: serve(file, endless).fetch })).rejects.toMatchObject({
      code: 'HTTP_NO_RANGES',
    });
    expect(pulled).toBeLessThan(20);
  });

  it('DL-03, DL-04 tells a web page and a git-LFS pointer from the file', async () => {
    const page = text('<!doctype html><title>Not here</title>');
    const pointer = text('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n');
    await expect(openHttpSource(address, { fetch: serve(page).fetch })).rejects.toMatchObject({ code: 'FILE_IS_HTML' });
    await expect(openHttpSource(address, { fetch: serve(pointer).fetch })).rejects.toMatchObject({
      code: 'FILE_IS_LFS_POINTER',
    });
    const { fetch } = serve(page, () => new Response(page));
    await expect(openHttpSource(address, { fetch })).rejects.toMatchObject({ code: 'FILE_IS_HTML' });
  });

  it.each([
    ['no header', undefined],
    ['no size', 'bytes 0-127/*'],
    ['another unit', 'lines 0-127/1000'],
    ['an end past the size', 'bytes 0-127/100'],
    ['a size that no number holds', 'bytes 0-127/9007199254740993'],
  ])('a size unknown is an error: %s', async (_, contentRange) => {
    const { fetch } = serve(file, (start, end) => part(file.slice(start, end), contentRange));
    await expect(openHttpSource(address, { fetch })).rejects.toMatchObject({ code: 'HTTP_SIZE_UNKNOWN' });
  });

  it.each([
    [404, 'FILE_NOT_FOUND', false],
    [410, 'FILE_NOT_FOUND', false],
    [401, 'HTTP_STATUS', false],
    [403, 'HTTP_STATUS', false],
    [429, 'HTTP_STATUS', true],
    [503, 'HTTP_STATUS', true],
  ])('status %i is %s', async (status, code, retryable) => {
    const { fetch } = serve(file, () => new Response('no', { status }));
    await expect(openHttpSource(address, { fetch })).rejects.toMatchObject({ code, retryable });
  });

  const later = (answer: (start: number, end: number) => Response) =>
    serve(file, (start, end, request) => (request === 0 ? undefined : answer(start, end)));

  it('DL-12 notices a file that changed: another size, another ETag, ranges no more', async () => {
    const changes = [
      later((start, end) => part(file.slice(start, end), `bytes ${start}-${end - 1}/1001`)),
      later(() => new Response(file)),
      serve(file, (start, end, request) =>
        part(file.slice(start, end), `bytes ${start}-${end - 1}/1000`, { etag: `"${request}"` }),
      ),
    ];
    for (const { fetch } of changes) {
      const source = await openHttpSource(address, { fetch });
      await expect(source.read(10, 3)).rejects.toMatchObject({ code: 'FILE_CHANGED', where: { file: 'a model.bin' } });
    }
  });

  it('DL-05 never takes other bytes, fewer or more', async () => {
    const cases = [
      [later(() => part(file.slice(0, 3), 'bytes 0-2/1000')), 'HTTP_RANGE'],
      [later((start, end) => part(file.slice(start, end + 1), `bytes ${start}-${end - 1}/1000`)), 'HTTP_RANGE'],
      [later((start, end) => part(file.slice(start, end - 1), `bytes ${start}-${end - 1}/1000`)), 'HTTP_FAILED'],
    ] as const;
    for (const [{ fetch }, code] of cases) {
      const source = await openHttpSource(address, { fetch });
      await expect(source.read(10, 3)).rejects.toMatchObject({ code });
    }
  });

  it('a server that cannot be reached is an error that may pass', async () => {
    const fetch = () => Promise.reject(new TypeError('Failed to fetch'));
    await expect(openHttpSource(address, { fetch })).rejects.toMatchObject({ code: 'HTTP_FAILED', retryable: true });
  });

  it('RT-15 an aborted signal asks nothing and keeps its reason', async () => {
    const { fetch } = serve();
    const reason = new Error('enough');
    await expect(openHttpSource(address, { fetch, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it.each(['file:///etc/passwd', 'data:text/plain,x', 'nowhere'])('refuses %s', async (url) => {
    await expect(openHttpSource(url)).rejects.toMatchObject({ code: 'ARGUMENT' });
  });

  it('refuses options that it does not know', async () => {
    await expect(openHttpSource(address, { headers: {} } as never)).rejects.toMatchObject({ code: 'OPTION_UNKNOWN' });
  });
});
