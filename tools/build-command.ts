import { isAbsolute, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import type { BrowserCommand } from 'vitest/node';

const repositoryRoot = fileURLToPath(new URL('..', import.meta.url));

/**
 * A command for tests in a browser: bundles a module of the repository as a page would for production, minified and with all
 * that it imports, and returns the code.
 */
export const buildForProduction: BrowserCommand<[entry: string]> = async (_context, entry) => {
  const input = resolve(repositoryRoot, entry);
  const fromRoot = relative(repositoryRoot, input);
  if (fromRoot.startsWith('..') || isAbsolute(fromRoot)) throw new Error(`${entry} leads out of the repository`);
  const result = await build({
    configFile: false,
    logLevel: 'error',
    root: repositoryRoot,
    build: {
      write: false,
      minify: true,
      rolldownOptions: {
        input,
        preserveEntrySignatures: 'strict',
        output: { format: 'es', codeSplitting: false },
      },
    },
  });
  const outputs = Array.isArray(result) ? result : [result];
  for (const output of outputs) {
    if (!('output' in output)) continue;
    const chunk = output.output.find((one) => one.type === 'chunk' && one.isEntry);
    if (chunk?.type === 'chunk') return chunk.code;
  }
  throw new Error(`${entry} was bundled into nothing`);
};
