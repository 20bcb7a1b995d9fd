import { cpSync, createReadStream, existsSync, statSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where the built playground lies in the site. It works below any path, so it is taken as it is. */
export const playgroundFolder = 'playground-app';

const built = fileURLToPath(new URL('../../../apps/playground/dist/', import.meta.url));

const types = new Map([
  ['.html', 'text/html; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.css', 'text/css; charset=utf-8'],
  ['.json', 'application/json'],
  ['.svg', 'image/svg+xml'],
]);

/** Copies the built playground, with nano-mini, into the built site. */
export function copyPlayground(outDir: string): void {
  if (!existsSync(join(built, 'index.html'))) {
    throw new Error('the playground is not built: turbo run build --filter=@phiblocks/playground');
  }
  cpSync(built, join(outDir, playgroundFolder), { recursive: true });
}

/** What is needed of Vite's server, in whatever version VitePress brings it. */
interface DevelopmentServer {
  middlewares: { use(handle: (request: IncomingMessage, response: ServerResponse, next: () => void) => void): unknown };
}

/** In development: serves it from where it was built, and sends the headers that allow threads, which VitePress cannot. */
export function servePlayground(base: string) {
  return {
    name: 'phiblocks-playground',
    configureServer(server: DevelopmentServer) {
      server.middlewares.use((request, response, next) => {
        response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
        response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
        const prefix = `${base}${playgroundFolder}/`;
        const path = new URL(request.url ?? '/', 'http://localhost').pathname;
        if (!path.startsWith(prefix)) return next();
        const file = normalize(join(built, decodeURIComponent(path.slice(prefix.length)) || 'index.html'));
        if (!file.startsWith(normalize(built)) || !existsSync(file) || !statSync(file).isFile()) return next();
        response.setHeader('Content-Type', types.get(extname(file)) ?? 'application/octet-stream');
        createReadStream(file).pipe(response);
      });
    },
  };
}
