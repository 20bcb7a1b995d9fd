import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BrowserCommand } from 'vitest/node';

// Commands that tests in a browser call, since a page cannot read files: the shared reference data beside the repository.

const sharedRoot = process.env.PHIBLOCKS_SHARED ?? fileURLToPath(new URL('../../shared', import.meta.url));

function inside(path: string): string {
  const full = resolve(sharedRoot, path);
  if (full !== sharedRoot && !full.startsWith(join(sharedRoot, '/')))
    throw new Error(`${path} leads out of the shared data`);
  return full;
}

/** A file in base64, which is what a command can return; undefined where there is none. */
export const readShared: BrowserCommand<[path: string]> = (_context, path) => {
  const file = inside(path);
  return existsSync(file) ? readFileSync(file).toString('base64') : undefined;
};

/** Names in a folder; none where the folder is missing. */
export const listShared: BrowserCommand<[path: string]> = (_context, path) => {
  const folder = inside(path);
  return existsSync(folder) ? readdirSync(folder) : [];
};
