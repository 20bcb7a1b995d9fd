// `node server/serve.mjs [--port 4173] [--no-isolation] [--policy strict|no-wasm|none]`: serves the built page with the
// headers that it is meant to be served with. What a host for static files must do is in this one file.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const types = new Map([
  ['.html', 'text/html; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.css', 'text/css; charset=utf-8'],
  ['.json', 'application/json'],
  ['.svg', 'image/svg+xml'],
]);

/** `SharedArrayBuffer`, and so threads, exist only in a page that is isolated from others. */
export const isolationHeaders = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/** Models may come from any address that somebody types in; scripts, styles and workers only from here. */
const policyWith = (scripts) =>
  `default-src 'none'; script-src ${scripts}; worker-src 'self'; style-src 'self'; img-src 'self'; ` +
  `connect-src 'self' http: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'`;

/** Content security policies: `strict` is the one to use; `no-wasm` leaves only plain scripts. */
export const policies = {
  strict: policyWith("'self' 'wasm-unsafe-eval'"),
  'no-wasm': policyWith("'self'"),
  none: undefined,
};

/** A server for a folder of static files, with ranges. It is not listening yet. */
export function createStaticServer(folder, { isolation = true, policy = 'strict' } = {}) {
  const headers = {
    ...(isolation ? isolationHeaders : {}),
    ...(policies[policy] ? { 'Content-Security-Policy': policies[policy] } : {}),
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-cache',
  };
  return createServer(async (request, response) => {
    try {
      const path = pathIn(folder, request.url ?? '/');
      const file = path && (await stat(path).catch(() => undefined));
      if (request.method !== 'GET' && request.method !== 'HEAD') return end(response, 405, headers);
      if (!file?.isFile()) return end(response, 404, headers);
      const range = rangeOf(request.headers.range, file.size);
      if (range === 'outside') return end(response, 416, { ...headers, 'Content-Range': `bytes */${file.size}` });
      const { start, last } = range ?? { start: 0, last: file.size - 1 };
      response.writeHead(range ? 206 : 200, {
        ...headers,
        'Content-Type': types.get(extname(path)) ?? 'application/octet-stream',
        'Content-Length': last - start + 1,
        'Accept-Ranges': 'bytes',
        ...(range ? { 'Content-Range': `bytes ${start}-${last}/${file.size}` } : {}),
      });
      if (request.method === 'HEAD' || file.size === 0) return response.end();
      createReadStream(path, { start, end: last })
        .on('error', () => response.destroy())
        .pipe(response);
    } catch {
      end(response, 500, headers);
    }
  });
}

function end(response, status, headers) {
  response.writeHead(status, { ...headers, 'Content-Type': 'text/plain' }).end(`${status}\n`);
}

/** The file that an address means; undefined when it leads out of the folder or is none. */
function pathIn(folder, url) {
  let path;
  try {
    path = decodeURIComponent(new URL(url, 'http://localhost').pathname);
  } catch {
    return undefined;
  }
  if (path.includes('\0')) return undefined;
  const found = normalize(join(folder, path.endsWith('/') ? `${path}index.html` : path));
  return found.startsWith(normalize(folder + sep)) ? found : undefined;
}

/** One range, as RFC 9110 has it; undefined for none or for what this server does not do, which then gets the whole file. */
function rangeOf(header, size) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  const start = match[1] === '' ? Math.max(0, size - Number(match[2])) : Number(match[1]);
  const last = match[1] === '' || match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1);
  if (start >= size) return 'outside';
  return last < start ? undefined : { start, last };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '4173' },
      isolation: { type: 'boolean', default: true },
      policy: { type: 'string', default: 'strict' },
    },
    allowNegative: true,
  });
  if (!Object.hasOwn(policies, values.policy)) {
    console.error(`--policy is one of ${Object.keys(policies).join(', ')}`);
    process.exit(2);
  }
  const folder = fileURLToPath(new URL('../dist', import.meta.url));
  const server = createStaticServer(folder, { isolation: values.isolation, policy: values.policy });
  server.listen(Number(values.port), '127.0.0.1', () => {
    console.log(`http://localhost:${server.address().port}/ (policy ${values.policy}, isolation ${values.isolation})`);
  });
}
