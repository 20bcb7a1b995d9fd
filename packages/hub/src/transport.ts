import { isPhi3Error, Phi3Error, printable } from '@phiblocks/tensor';
import { type HubClock, systemClock } from './clock.ts';
import type { HubErrorCode } from './error-codes.ts';
import { longestRetryAfterMs, parseRetryAfterMs, retryDelayMs } from './retry-delay.ts';

/** How a hub is reached. */
export interface TransportOptions {
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly fetch: typeof fetch;
  readonly clock?: HubClock;
  /** Attempts after the first one. */
  readonly maxRetries?: number;
  /** A connection on which nothing arrives for so long is given up. */
  readonly idleTimeoutMs?: number;
}

/** What a request is about, for messages. */
export interface RequestSubject {
  readonly repository: string;
  readonly revision?: string;
  readonly file?: string;
}

export interface HubRequest extends RequestSubject {
  readonly url: string;
  readonly init?: RequestInit;
  readonly signal?: AbortSignal | undefined;
  /** Statuses that are answers here, not faults. */
  readonly accept?: readonly number[];
}

/** Requests to a hub: with its token, redirects, retries, time limits, and faults as typed errors. */
export interface Transport {
  readonly endpoint: string;
  readonly clock: HubClock;
  readonly maxRetries: number;
  readonly idleTimeoutMs: number;
  /** One answer that is a success, after as many attempts as it takes. */
  request(request: HubRequest): Promise<Response>;
  /** The same with its whole body, which may be cut off in the middle and then is asked for again. */
  requestText(request: HubRequest, mostBytes: number): Promise<{ response: Response; text: string }>;
}

const mostRedirects = 10;
const retriedStatuses = [408, 425, 429, 500, 502, 503, 504];

/** Makes a {@link Transport}. */
export function createTransport(options: TransportOptions): Transport {
  const { endpoint, clock = systemClock, maxRetries = 5, idleTimeoutMs = 60_000 } = options;
  const transport: Transport = { endpoint, clock, maxRetries, idleTimeoutMs, request, requestText };
  return transport;

  async function requestText(asked: HubRequest, mostBytes: number): Promise<{ response: Response; text: string }> {
    for (let attempt = 0; ; attempt++) {
      const response = await request(asked);
      try {
        return { response, text: await readText(response, transport, asked, mostBytes) };
      } catch (cause) {
        if (isPhi3Error(cause) || asked.signal?.aborted) throw cause;
        if (attempt >= maxRetries) throw unreachable(options, asked, attempt + 1, cause);
        await clock.sleep(retryDelayMs(attempt, null, clock), asked.signal);
      }
    }
  }

  async function request(request: HubRequest): Promise<Response> {
    for (let attempt = 0; ; attempt++) {
      request.signal?.throwIfAborted();
      let response: Response;
      try {
        response = await followRedirects(options, transport, request);
      } catch (cause) {
        if (isPhi3Error(cause) || request.signal?.aborted) throw cause;
        if (attempt >= maxRetries) throw unreachable(options, request, attempt + 1, cause);
        await clock.sleep(retryDelayMs(attempt, null, clock), request.signal);
        continue;
      }
      if (response.ok || request.accept?.includes(response.status)) return response;
      const retryAfter = response.headers.get('retry-after');
      const isPatient = (parseRetryAfterMs(retryAfter, clock.now()) ?? 0) <= longestRetryAfterMs;
      if (!retriedStatuses.includes(response.status)) throw await statusError(options, request, response);
      await discard(response);
      if (attempt >= maxRetries || !isPatient) throw busy(options, request, response, attempt + 1, retryAfter);
      await clock.sleep(retryDelayMs(attempt, retryAfter, clock), request.signal);
    }
  }
}

async function followRedirects(
  options: TransportOptions,
  transport: Transport,
  request: HubRequest,
): Promise<Response> {
  let url = new URL(request.url);
  const home = new URL(options.endpoint).origin;
  for (let hop = 0; hop <= mostRedirects; hop++) {
    const headers = new Headers(request.init?.headers);
    // The token goes to the hub and to nobody else: not to the storage that a redirect leads to, not to a link in an answer.
    headers.delete('authorization');
    if (options.token !== undefined && url.origin === home) headers.set('authorization', `Bearer ${options.token}`);
    let response = await fetchInTime(
      options,
      transport,
      url,
      { ...request.init, headers, redirect: 'manual' },
      request,
    );
    if (response.type === 'opaqueredirect') {
      // A browser hides where to. It follows redirects itself, and drops the token when they leave the origin.
      response = await fetchInTime(options, transport, url, { ...request.init, headers, redirect: 'follow' }, request);
    }
    const location = response.headers.get('location');
    if (![301, 302, 303, 307, 308].includes(response.status)) return response;
    await discard(response);
    const next = location === null ? undefined : parseUrl(location, url);
    // Never from https to http, and never out of the web.
    const isAllowed = next && (next.protocol === 'https:' || (next.protocol === 'http:' && url.protocol === 'http:'));
    if (!isAllowed) throw redirectError(request, 'a redirect to another address of the web', location ?? 'none');
    url = next;
  }
  throw redirectError(request, `at most ${mostRedirects} redirects`, 'more');
}

/** `fetch` until the headers are there; the body has its own watch, see `readInTime`. */
async function fetchInTime(
  options: TransportOptions,
  { clock, idleTimeoutMs }: Transport,
  url: URL,
  init: RequestInit,
  { signal }: HubRequest,
): Promise<Response> {
  // As a function: browsers refuse their `fetch` as a method of another object.
  const { fetch } = options;
  return inTime(clock, idleTimeoutMs, signal, (limit) => {
    // The signal of the call lives on with the body; the limit ends with the headers.
    const either = signal === undefined ? limit : AbortSignal.any([signal, limit]);
    return fetch(url, { ...init, signal: either });
  });
}

/** The body of an answer, piece by piece; a connection on which nothing more arrives is given up. */
export async function* bodyOf(
  response: Response,
  { clock, idleTimeoutMs }: Pick<Transport, 'clock' | 'idleTimeoutMs'>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const { done, value } = await inTime(clock, idleTimeoutMs, signal, () => reader.read());
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function readText(
  response: Response,
  transport: Transport,
  request: HubRequest,
  mostBytes: number,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let sizeInBytes = 0;
  for await (const bytes of bodyOf(response, transport, request.signal)) {
    sizeInBytes += bytes.byteLength;
    if (sizeInBytes > mostBytes) {
      throw new Phi3Error<HubErrorCode>({
        code: 'HUB_RESPONSE',
        function: 'fetchCheckpoint',
        expected: `an answer of at most ${mostBytes} bytes`,
        got: 'a longer one',
        where: { file: request.repository },
      });
    }
    text += decoder.decode(bytes, { stream: true });
  }
  return text + decoder.decode();
}

/**
 * Runs work that is given up when it takes too long.
 *
 * @throws Error `nothing arrived for … ms`
 */
export async function inTime<T>(
  clock: HubClock,
  limitMs: number,
  signal: AbortSignal | undefined,
  work: (limit: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const done = new AbortController();
  const watch = clock.sleep(limitMs, done.signal).then(
    () => {
      const error = new Error(`nothing arrived for ${limitMs} ms`);
      limit.abort(error);
      throw error;
    },
    () => new Promise<never>(() => {}),
  );
  try {
    signal?.throwIfAborted();
    return await Promise.race([work(limit.signal), watch]);
  } finally {
    done.abort();
  }
}

async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => {});
}

function parseUrl(text: string, base: URL): URL | undefined {
  try {
    return new URL(text, base);
  } catch {
    return undefined;
  }
}

function subjectOf({ repository, revision, file }: RequestSubject): string {
  return [repository, revision && `at ${printable(revision)}`, file && printable(file)].filter(Boolean).join(' ');
}

function unreachable(options: TransportOptions, request: HubRequest, attempts: number, cause: unknown): Phi3Error {
  const reason = reasonOf(cause);
  return new Phi3Error<HubErrorCode>({
    code: 'NET',
    function: 'fetchCheckpoint',
    expected: `an answer about ${subjectOf(request)} from ${options.endpoint}`,
    got: `${reason} in ${attempts} attempts`,
    hint: 'Check the connection; what was received is kept. With offline: true only the cache is used.',
    retryable: true,
    cause,
  });
}

/** `fetch failed` says nothing; what it was lies in the cause. */
function reasonOf(error: unknown): string {
  const cause = (error as { cause?: { code?: unknown; message?: unknown } } | null)?.cause;
  if (typeof cause?.code === 'string') return cause.code;
  if (typeof cause?.message === 'string') return cause.message;
  return error instanceof Error ? error.message : String(error);
}

function busy(
  { endpoint }: TransportOptions,
  request: HubRequest,
  response: Response,
  attempts: number,
  retryAfter: string | null,
): Phi3Error {
  return new Phi3Error<HubErrorCode>({
    code: 'NET',
    function: 'fetchCheckpoint',
    expected: `an answer about ${subjectOf(request)} from ${endpoint}`,
    got: `status ${response.status} in ${attempts} attempts`,
    hint:
      retryAfter === null
        ? 'Try again later; what was received is kept.'
        : `The server asks to wait: ${printable(retryAfter)}.`,
    retryable: true,
  });
}

/** The hub tells by a header what a status is about. It answers 401 for what does not exist, lest names be found out. */
async function statusError(
  { endpoint, token }: TransportOptions,
  request: HubRequest,
  response: Response,
): Promise<Phi3Error> {
  const errorCode = response.headers.get('x-error-code');
  const said = response.headers.get('x-error-message');
  await discard(response);
  const page = `${endpoint}/${request.repository}`;
  const [code, expected, hint] = meaningOf(response.status, errorCode, page, token !== undefined, request);
  return new Phi3Error<HubErrorCode>({
    code,
    function: 'fetchCheckpoint',
    expected,
    got: `status ${response.status}${said === null ? '' : ` (${said})`}`,
    where: { file: request.file ?? request.repository },
    hint,
  });
}

function meaningOf(
  status: number,
  errorCode: string | null,
  page: string,
  hasToken: boolean,
  request: HubRequest,
): [HubErrorCode, string, string] {
  const token = hasToken ? 'Check the token that was sent' : 'Set HF_TOKEN, or pass a token';
  if (errorCode === 'GatedRepo' || (status === 403 && errorCode === null)) {
    return ['HUB_GATED', 'access to the repository', `Ask for access on ${page}, then pass a token of that account.`];
  }
  if (errorCode === 'RevisionNotFound') {
    return ['HUB_REVISION_NOT_FOUND', `a revision ${printable(request.revision ?? '')}`, `See ${page}/tree/main.`];
  }
  if (errorCode === 'RepoNotFound' || (status === 404 && request.file === undefined)) {
    return ['HUB_REPOSITORY_NOT_FOUND', 'a repository of that name', `See ${page}. If it is private: ${token}.`];
  }
  if (errorCode === 'EntryNotFound' || status === 404) {
    return ['HUB_FILE_NOT_FOUND', 'a file of that name', `See ${page}/tree/${printable(request.revision ?? 'main')}.`];
  }
  if (status === 401) return ['HUB_UNAUTHORIZED', 'a token that the hub accepts', `${token}. The page is ${page}.`];
  return ['HUB_STATUS', 'a success', `The page is ${page}.`];
}

function redirectError(request: HubRequest, expected: string, got: string): Phi3Error {
  return new Phi3Error<HubErrorCode>({
    code: 'HUB_REDIRECT',
    function: 'fetchCheckpoint',
    expected,
    got,
    where: { file: request.file ?? request.repository },
  });
}
