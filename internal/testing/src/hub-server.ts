import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { allowLoopback } from './network-guard.ts';

/** A request for a file, as the server saw it. */
export interface HubServerRequest {
  readonly method: string;
  /** `info`, `tree` or the path of a file. */
  readonly what: string;
  readonly file: string | undefined;
  readonly headers: IncomingMessage['headers'];
  /** Bytes of bodies that were handed to the connection. */
  bytesSent: number;
}

/** What to do instead of answering well; return true when the answer was given. */
export type HubServerFault = (
  request: HubServerRequest,
  response: ServerResponse,
  bytes: Uint8Array | undefined,
) => boolean | Promise<boolean>;

/** What a server of the hub can be told. */
export interface HubServerOptions {
  /** Repositories: their files at the one commit they have. */
  readonly repositories: ReadonlyMap<string, ReadonlyMap<string, Uint8Array>>;
  readonly commit?: string;
  /** Names of branches and tags. */
  readonly revisions?: readonly string[];
  /** Files from this size on are in large file storage, and so named by SHA-256. Default: 1000. */
  readonly lfsFromBytes?: number;
  readonly fault?: HubServerFault;
  /** Sends bodies in pieces of so many bytes with a pause between them. */
  readonly pace?: { readonly pieceInBytes: number; readonly pauseMs: number };
}

/** A server on the loopback interface that answers as the Hugging Face hub does, and misbehaves on demand. */
export interface HubServer {
  readonly endpoint: string;
  readonly commit: string;
  readonly requests: HubServerRequest[];
  /** Replaces the misbehaviour. */
  setFault(fault: HubServerFault | undefined): void;
  close(): Promise<void>;
}

/** Starts a {@link HubServer} on a free port, and lets the tests of this file reach it. */
export async function startHubServer(options: HubServerOptions): Promise<HubServer> {
  allowLoopback();
  const commit = options.commit ?? '0123456789abcdef0123456789abcdef01234567';
  const requests: HubServerRequest[] = [];
  let fault = options.fault;
  const server = createServer((request, response) => {
    void answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    commit,
    requests,
    setFault: (next) => {
      fault = next;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, 'http://localhost');
    const path = decodeURIComponent(url.pathname);
    const api = /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree)\/(.+)$/.exec(path);
    const resolve = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(path);
    const [, name = '', kindOrRevision = '', rest = ''] = api ?? resolve ?? [];
    const revision = api ? rest : kindOrRevision;
    const files = options.repositories.get(name);
    const file = resolve ? rest : undefined;
    const bytes = file === undefined ? undefined : files?.get(file);
    const logged: HubServerRequest = {
      method: request.method!,
      what: api ? (kindOrRevision === 'tree' ? 'tree' : 'info') : path,
      file,
      headers: request.headers,
      bytesSent: 0,
    };
    requests.push(logged);
    if (await fault?.(logged, response, bytes)) return;
    if (files === undefined) return notFound(response, 'RepoNotFound', 'Repository not found');
    if (![commit, 'main', ...(options.revisions ?? [])].includes(revision)) {
      return notFound(response, 'RevisionNotFound', 'Invalid rev id');
    }
    if (api) return json(response, kindOrRevision === 'tree' ? tree(files) : { id: name, sha: commit });
    if (bytes === undefined) return notFound(response, 'EntryNotFound', 'Entry not found');
    await sendFile(logged, response, bytes);
  }

  function tree(files: ReadonlyMap<string, Uint8Array>): unknown[] {
    return [...files].map(([path, bytes]) => {
      const entry = { type: 'file', path, size: bytes.byteLength, oid: gitHash(bytes) };
      if (bytes.byteLength < (options.lfsFromBytes ?? 1000)) return entry;
      return { ...entry, lfs: { oid: sha256(bytes), size: bytes.byteLength, pointerSize: 134 } };
    });
  }

  async function sendFile(request: HubServerRequest, response: ServerResponse, bytes: Uint8Array): Promise<void> {
    const etag = `"${sha256(bytes)}"`;
    const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
    const ifRange = request.headers['if-range'];
    const start = range && (ifRange === undefined || ifRange === etag) ? Number(range[1]) : 0;
    if (start > 0 && start >= bytes.byteLength) {
      response.writeHead(416, { 'content-range': `bytes */${bytes.byteLength}` }).end();
      return;
    }
    const body = bytes.subarray(start);
    response.writeHead(start > 0 ? 206 : 200, {
      etag,
      'content-length': body.byteLength,
      'accept-ranges': 'bytes',
      ...(start > 0 && { 'content-range': `bytes ${start}-${bytes.byteLength - 1}/${bytes.byteLength}` }),
    });
    const { pieceInBytes, pauseMs } = options.pace ?? { pieceInBytes: body.byteLength || 1, pauseMs: 0 };
    for (let at = 0; at < body.byteLength && !response.destroyed; at += pieceInBytes) {
      const piece = body.subarray(at, at + pieceInBytes);
      await new Promise<void>((done) => {
        const go = (): void => {
          response.off('close', go);
          done();
        };
        response.on('close', go);
        response.write(piece, go);
      });
      request.bytesSent += piece.byteLength;
      if (pauseMs > 0) await new Promise((done) => setTimeout(done, pauseMs));
    }
    response.end();
  }
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function notFound(response: ServerResponse, code: string, message: string): void {
  response.writeHead(404, { 'x-error-code': code, 'x-error-message': message }).end(message);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** As git names a file: SHA-1 of `blob <size>\0` and the bytes. */
export function gitHash(bytes: Uint8Array): string {
  return createHash('sha1').update(`blob ${bytes.byteLength}\0`).update(bytes).digest('hex');
}
