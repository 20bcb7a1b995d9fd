// `node docs/preview.mjs [--port 4174] [--no-isolation]`: serves the built site below the path it was built for, with the
// headers that allow threads, or without them as a plain host does.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createStaticServer } from '../apps/playground/server/serve.mjs';

const dist = fileURLToPath(new URL('.vitepress/dist', import.meta.url));

/** A server that has the built site below its base and nothing elsewhere. It is not listening yet. */
export function createSiteServer({ isolation = true } = {}) {
  const { base } = JSON.parse(readFileSync(`${dist}/site.json`, 'utf8'));
  const files = createStaticServer(dist, { isolation, policy: 'none' });
  return createServer((request, response) => {
    if (!request.url?.startsWith(base)) {
      response.writeHead(404, { 'Content-Type': 'text/plain' }).end(`The site is below ${base}\n`);
      return;
    }
    request.url = request.url.slice(base.length - 1);
    files.emit('request', request, response);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { port: { type: 'string', default: '4174' }, isolation: { type: 'boolean', default: true } },
    allowNegative: true,
  });
  const { base } = JSON.parse(readFileSync(`${dist}/site.json`, 'utf8'));
  const server = createSiteServer(values);
  server.listen(Number(values.port), '127.0.0.1', () => {
    console.log(`http://localhost:${server.address().port}${base} (isolation ${values.isolation})`);
  });
}
