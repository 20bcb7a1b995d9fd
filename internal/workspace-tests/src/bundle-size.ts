import { build } from 'esbuild';

/** What a bundler makes of an import: how large it is, and code of which packages went into it. */
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
  const { metafile, outputFiles } = await build({
    stdin: { contents: code, resolveDir: folder },
    absWorkingDir: folder,
    bundle: true,
    minify: true,
    format: 'esm',
    platform,
    target: 'es2022',
    write: false,
    metafile: true,
    legalComments: 'none',
    logLevel: 'silent',
  });
  const packages = new Set<string>();
  for (const output of Object.values(metafile.outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(output.inputs)) {
      const name = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
      if (name !== undefined && bytesInOutput > 0) packages.add(name);
    }
  }
  return { minifiedSizeInBytes: outputFiles[0].contents.length, packages: [...packages].sort() };
}
