import { ArgumentError, expectKnownOptions, Phi3Error, printable } from '@phiblocks/tensor';
import { allocateBytes } from './allocate.ts';
import { type ByteSource, expectReadable } from './byte-source.ts';
import { changedError, closedError } from './create-byte-source.ts';
import type { WeightsErrorCode } from './error-codes.ts';
import { rejectForeignFile } from './foreign-file.ts';

/** How to open a file on a web server. */
export interface HttpSourceOptions {
  /** For messages. Default: the last part of the path. */
  readonly name?: string | undefined;
  /** Ends opening and every later read. */
  readonly signal?: AbortSignal | undefined;
  /** Default: the `fetch` of the engine. */
  readonly fetch?: typeof fetch | undefined;
}

/** The first request asks for so much: enough to tell a web page or a git-LFS pointer from a file. */
const probedSizeInBytes = 128;

/**
 * A server without ranges may still give a file of this size, which is then kept: descriptions of a checkpoint are smaller,
 * weights are not.
 */
const largestWholeSizeInBytes = 16 * 2 ** 20;

/**
 * A {@link ByteSource} over a file on a web server, read in ranges (RFC 9110, section 14). The file never comes into memory
 * whole, unless the server knows no ranges and the file is no larger than 16 MiB.
 *
 * The first request finds out the size, and whether the answer is a web page in place of the file. Later answers must be of
 * the same size and, where the server shows one, the same ETag.
 *
 * @param url - http or https; in a page, relative ones resolve against the page
 * @throws ArgumentError `ARGUMENT` for an address that is none, or not of the web
 * @throws Phi3Error `FILE_NOT_FOUND` for 404 and 410; `HTTP_STATUS`, `HTTP_SIZE_UNKNOWN`, `HTTP_NO_RANGES`, `HTTP_RANGE`,
 * `HTTP_FAILED`, `FILE_IS_HTML`, `FILE_IS_LFS_POINTER`; the signal's reason when it aborts. Reads throw these too, and
 * `FILE_CHANGED`
 * @example
 * const whole = new Uint8Array([1, 2, 3, 4]);
 * const headers = { 'content-range': 'bytes 0-3/4' };
 * const fetch = async () => new Response(whole, { status: 206, headers }); // stands for a server
 * const source = await openHttpSource('https://models.example/four.bin', { fetch });
 * source.sizeInBytes; // => 4
 */
export async function openHttpSource(url: string | URL, options: HttpSourceOptions = {}): Promise<ByteSource> {
  expectKnownOptions('openHttpSource', options, ['name', 'signal', 'fetch']);
  const address = parseAddress(url);
  const name = options.name ?? lastPart(address);
  const closing = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, closing.signal]) : closing.signal;
  const ask: Ask = { address, name, fetch: options.fetch ?? globalThis.fetch, signal };

  const response = await request(ask, 0, probedSizeInBytes);
  if (response.status === 206) {
    const { sizeInBytes, start, end } = contentRange(ask, response);
    const probed = Math.min(probedSizeInBytes, sizeInBytes);
    if (start !== 0 || end !== probed) throw wrongRange(ask, 0, probed, response);
    const into = allocateBytes(probed, { file: name });
    await readBody(ask, response, 0, into);
    rejectForeignFile(into, { function: 'openHttpSource', file: name });
    return rangedSource(ask, { sizeInBytes, etag: response.headers.get('etag') }, closing);
  }
  if (response.status === 416 && response.headers.get('content-range') === 'bytes */0') {
    await discard(response);
    return wholeSource(name, new Uint8Array(0));
  }
  return wholeSource(name, await readWhole(ask, response));
}

interface Ask {
  readonly address: URL;
  readonly name: string;
  readonly fetch: typeof fetch;
  readonly signal: AbortSignal;
}

function parseAddress(url: string | URL): URL {
  const base = typeof location === 'undefined' ? undefined : location.href;
  let address: URL | undefined;
  try {
    address = new URL(url, base);
  } catch {
    // said below
  }
  if (address?.protocol === 'http:' || address?.protocol === 'https:') return address;
  throw new ArgumentError({
    function: 'openHttpSource',
    argument: 'url',
    expected: 'an http or https address',
    got: String(url),
  });
}

function lastPart(address: URL): string {
  const part = address.pathname.split('/').at(-1)!;
  try {
    return decodeURIComponent(part) || address.host;
  } catch {
    return part;
  }
}

function rangedSource(
  ask: Ask,
  file: { readonly sizeInBytes: number; readonly etag: string | null },
  closing: AbortController,
): ByteSource {
  const { name } = ask;
  const { sizeInBytes } = file;
  let isClosed = false;
  return {
    name,
    sizeInBytes,
    async read(offset, length, into) {
      if (isClosed) throw closedError(name);
      expectReadable({ name, sizeInBytes }, offset, length, into);
      const out = into ?? allocateBytes(length, { file: name });
      if (length === 0) return out;
      try {
        const response = await request(ask, offset, length);
        if (response.status !== 206) {
          await discard(response);
          throw changedError(name, `an answer without the range (status ${response.status})`, sizeInBytes);
        }
        const got = contentRange(ask, response);
        const etag = response.headers.get('etag');
        if (got.sizeInBytes !== sizeInBytes || (etag !== null && file.etag !== null && etag !== file.etag)) {
          await discard(response);
          const change = got.sizeInBytes === sizeInBytes ? `ETag ${printable(etag!)}` : `${got.sizeInBytes} bytes`;
          throw changedError(name, change, sizeInBytes);
        }
        if (got.start !== offset || got.end !== offset + length) throw wrongRange(ask, offset, length, response);
        await readBody(ask, response, offset, out);
      } catch (error) {
        if (isClosed) throw closedError(name);
        throw error;
      }
      return out;
    },
    async close() {
      isClosed = true;
      closing.abort();
    },
  };
}

/** A small file of a server without ranges, held. */
function wholeSource(name: string, bytes: Uint8Array): ByteSource {
  const file = { name, sizeInBytes: bytes.byteLength };
  let held: Uint8Array | undefined = bytes;
  return {
    ...file,
    async read(offset, length, into) {
      if (!held) throw closedError(name);
      expectReadable(file, offset, length, into);
      const out = into ?? allocateBytes(length, { file: name });
      out.set(held.subarray(offset, offset + length));
      return out;
    },
    async close() {
      held = undefined;
    },
  };
}

/** One answer that is a success, or says that there is nothing at the range. */
async function request(ask: Ask, offset: number, length: number): Promise<Response> {
  // Trap: browsers refuse their `fetch` as a method of another object ("Illegal invocation"); Node does not mind.
  const { address, fetch, signal } = ask;
  let response: Response;
  try {
    response = await fetch(address, { headers: { range: `bytes=${offset}-${offset + length - 1}` }, signal });
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    throw failed(ask, offset, 'no answer', cause);
  }
  if (response.ok || response.status === 416) return response;
  await discard(response);
  const isMissing = response.status === 404 || response.status === 410;
  throw new Phi3Error<WeightsErrorCode>({
    code: isMissing ? 'FILE_NOT_FOUND' : 'HTTP_STATUS',
    function: 'openHttpSource',
    expected: 'the file',
    got: `status ${response.status}`,
    where: { file: ask.name, offset },
    retryable: response.status === 429 || response.status >= 500,
    ...(response.status === 401 || response.status === 403
      ? { hint: 'The server wants to know who asks: download the file and open it from the disk' }
      : {}),
  });
}

/** `Content-Range: bytes 0-127/1000`: the first byte, the one behind the last, and the size of the file. */
function contentRange(ask: Ask, response: Response): { start: number; end: number; sizeInBytes: number } {
  const header = response.headers.get('content-range');
  const match = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16})$/.exec(header ?? '');
  const [start, last, sizeInBytes] = (match ?? []).slice(1).map(Number);
  if (match && [start, last, sizeInBytes].every(Number.isSafeInteger) && last! < sizeInBytes!) {
    return { start: start!, end: last! + 1, sizeInBytes: sizeInBytes! };
  }
  void discard(response);
  throw new Phi3Error<WeightsErrorCode>({
    code: 'HTTP_SIZE_UNKNOWN',
    function: 'openHttpSource',
    expected: 'Content-Range with the size of the file',
    got: header ?? 'none',
    where: { file: ask.name },
    hint: 'A server of another origin must list Content-Range in Access-Control-Expose-Headers',
  });
}

/** Fills `into` with the body, which must have exactly as many bytes. */
async function readBody(ask: Ask, response: Response, offset: number, into: Uint8Array): Promise<void> {
  const length = into.byteLength;
  let done = 0;
  for await (const piece of piecesOf(ask, response, offset)) {
    if (done + piece.byteLength > length) throw wrongRange(ask, offset, length, response, 'more');
    into.set(piece, done);
    done += piece.byteLength;
  }
  if (done !== length) throw failed(ask, offset, `${done} of ${length} bytes`);
}

/** The body of an answer to a server that knows no ranges, where it is small enough to hold. */
async function readWhole(ask: Ask, response: Response): Promise<Uint8Array> {
  if (response.status !== 200) {
    await discard(response);
    throw wrongRange(ask, 0, probedSizeInBytes, response, `status ${response.status}`);
  }
  const pieces: Uint8Array[] = [];
  let sizeInBytes = 0;
  for await (const piece of piecesOf(ask, response, 0)) {
    if (sizeInBytes === 0) rejectForeignFile(piece, { function: 'openHttpSource', file: ask.name });
    pieces.push(piece);
    sizeInBytes += piece.byteLength;
    if (sizeInBytes > largestWholeSizeInBytes) {
      throw new Phi3Error<WeightsErrorCode>({
        code: 'HTTP_NO_RANGES',
        function: 'openHttpSource',
        expected: `a server that answers ranges, for a file above ${largestWholeSizeInBytes} bytes`,
        got: 'the whole file',
        where: { file: ask.name },
        hint: 'Put the file on a server that knows Range requests, or download it and open it from the disk',
      });
    }
  }
  const whole = allocateBytes(sizeInBytes, { file: ask.name });
  let next = 0;
  for (const piece of pieces) {
    whole.set(piece, next);
    next += piece.byteLength;
  }
  return whole;
}

/** The body, piece by piece. Leaving early ends the download. */
async function* piecesOf(ask: Ask, response: Response, offset: number): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) return;
  try {
    for (;;) {
      let part: ReadableStreamReadResult<Uint8Array>;
      try {
        part = await reader.read();
      } catch (cause) {
        if (ask.signal.aborted) throw ask.signal.reason;
        throw failed(ask, offset, 'a connection that broke', cause);
      }
      if (part.done) return;
      yield part.value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => {});
}

function wrongRange(ask: Ask, offset: number, length: number, response: Response, got?: string): Phi3Error {
  void discard(response);
  return new Phi3Error<WeightsErrorCode>({
    code: 'HTTP_RANGE',
    function: 'read',
    expected: `bytes ${offset} to ${offset + length - 1}`,
    got: got ?? response.headers.get('content-range'),
    where: { file: ask.name, offset },
  });
}

function failed(ask: Ask, offset: number, got: string, cause?: unknown): Phi3Error {
  return new Phi3Error<WeightsErrorCode>({
    code: 'HTTP_FAILED',
    function: 'read',
    expected: 'the bytes of the file',
    got,
    where: { file: ask.name, offset },
    hint: 'The server cannot be reached, does not allow this page to read it (CORS), or the connection broke',
    retryable: true,
    cause,
  });
}
