import { build } from 'esbuild';

/**
 * What a bundler makes of an import: how large it is, and code of which packages went into it. What is loaded by `import()`
 * is a file of its own and does not count: who does not use it does not load it.
 */
export interface Bundle {
  minifiedSizeInBytes: number;
  packages: string[];
}

/**
 * Bundles and minifies what an import keeps, as a user's bundler would.
 *
 * @param folder - where the package is installed
 * @param code - the import, for example `export { sample } from '@phiblocks/sampler'`
 * @param platform - `node` for the `./node` entries
 */
export async function bundle(folder: string, code: string, platform: 'browser' | 'node'): Promise<Bundle> {
  const { metafile } = await build({
    stdin: { contents: code, resolveDir: folder },
    absWorkingDir: folder,
    bundle: true,
    splitting: true,
    outdir: 'bundled',
    minify: true,
    format: 'esm',
    platform,
    // Loaded late by who asks for it, and not everywhere to be had; its name is still reported where it is imported at once.
    external: ['gpu.js', '@huggingface/hub'],
    target: 'es2022',
    write: false,
    metafile: true,
    legalComments: 'none',
    logLevel: 'silent',
  });
  const entry = Object.keys(metafile.outputs).find((path) => metafile.outputs[path].entryPoint === '<stdin>');
  if (entry === undefined) throw new Error('the bundle has no entry');
  const loaded = new Set([entry]);
  for (const path of loaded) {
    for (const { path: imported, kind } of metafile.outputs[path].imports) {
      if (kind === 'import-statement' && Object.hasOwn(metafile.outputs, imported)) loaded.add(imported);
    }
  }
  const packages = new Set<string>();
  for (const output of loaded) {
    for (const { path, kind, external } of metafile.outputs[output].imports) {
      if (external && kind === 'import-statement') packages.add(path);
    }
  }
  for (const output of loaded) {
    for (const [path, { bytesInOutput }] of Object.entries(metafile.outputs[output].inputs)) {
      const name = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
      if (name !== undefined && bytesInOutput > 0) packages.add(name);
    }
  }
  const sizeOf = (path: string) => metafile.outputs[path].bytes;
  const minifiedSizeInBytes = [...loaded].reduce((sum, path) => sum + sizeOf(path), 0);
  return { minifiedSizeInBytes, packages: [...packages].sort() };
}
