import type { Options } from 'tsup';

/** What every package builds with: ESM only, declarations, source maps, nothing minified so that stack traces read well. */
export function packageBuild(entry: string[] = ['src/index.ts'], more: Options = {}): Options {
  return {
    entry,
    format: ['esm'],
    // tsup 8 sets `baseUrl` for its declaration step, which TypeScript 6 rejects (TS5101).
    dts: { compilerOptions: { ignoreDeprecations: '6.0' } },
    sourcemap: true,
    clean: true,
    target: 'es2022',
    treeshake: true,
    // tsup would turn `node:fs` into `fs`, which a bundler may take for a package.
    removeNodeProtocol: false,
    ...more,
  };
}
