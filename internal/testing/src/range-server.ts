import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What pages of other origins need to read a file in ranges. */
export const corsHeaders = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Expose-Headers': 'Content-Range, ETag',
};

/** A file that is read in ranges; its bytes may be made when they are asked for. */
export interface RangedFile {
  readonly sizeInBytes: number;
  read(offset: number, length: number): Uint8Array;
}

export interface RangeServer {
  /** With a slash at its end. */
  readonly address: string;
  /** The bytes of each answer, in the order of the requests. */
  readonly answered: readonly number[];
  close(): void;
}

/** Bytes that are there, as a file. */
export const heldFile = (bytes: Uint8Array): RangedFile => ({
  sizeInBytes: bytes.byteLength,
  read: (offset, length) => bytes.subarray(offset, offset + length),
});

/**
 * A server on the loopback interface that answers ranges.
 *
 * @param find - the file at a path, which begins without a slash; or it has answered itself and returns nothing
 */
export async function startRangeServer(
  find: (path: string, response: ServerResponse) => RangedFile | undefined,
): Promise<RangeServer> {
  const answered: number[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname.slice(1));
    const file = find(path, response);
    if (!file) return;
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    if (first === undefined) {
      response.writeHead(400, corsHeaders).end('this server gives ranges only');
      return;
    }
    const start = Number(first);
    const end = Math.min(Number(last) + 1, file.sizeInBytes);
    answered.push(end - start);
    response.writeHead(206, {
      ...corsHeaders,
      'Content-Length': end - start,
      'Content-Range': `bytes ${start}-${end - 1}/${file.sizeInBytes}`,
    });
    send(response, file, start, end);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    answered,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** In pieces, as fast as they are taken. */
function send(response: ServerResponse, file: RangedFile, start: number, end: number): void {
  let next = start;
  const more = (): void => {
    while (next < end && !response.destroyed) {
      const length = Math.min(2 ** 20, end - next);
      const mayGoOn = response.write(file.read(next, length));
      next += length;
      if (!mayGoOn) {
        response.once('drain', more);
        return;
      }
    }
    response.end();
  };
  more();
}

/** Answers with a status, and a body that says it is a web page. */
export function refuse(response: ServerResponse, status: number, text = ''): undefined {
  response.writeHead(status, { ...corsHeaders, 'Content-Type': 'text/html' }).end(text);
}
