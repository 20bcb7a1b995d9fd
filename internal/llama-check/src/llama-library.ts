import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Where llama.cpp's build for this machine lies, or why there is none. */
export type LlamaLibrary =
  | { readonly ggmlBase: string; readonly missing: undefined }
  | { readonly ggmlBase: undefined; readonly missing: string };

/** Names of node-llama-cpp's packages for the processor, by `platform-arch` of Node. */
const builds = new Map([
  ['linux-x64', 'linux-x64'],
  ['darwin-x64', 'mac-x64'],
  ['darwin-arm64', 'mac-arm64-metal'],
  ['win32-x64', 'win-x64'],
  ['win32-arm64', 'win-arm64'],
]);

/** Looks for the shared library of ggml that node-llama-cpp brings for this machine. Nothing is loaded yet. */
export async function findLlamaLibrary(): Promise<LlamaLibrary> {
  const machine = `${process.platform}-${process.arch}`;
  const missing = (why: string): LlamaLibrary => ({ ggmlBase: undefined, missing: `${why} on ${machine}` });
  const build = builds.get(machine);
  if (build === undefined) return missing('node-llama-cpp has no build that this workspace installs');
  let entry: string;
  try {
    // An optional dependency of node-llama-cpp, which only that package itself can resolve.
    const fromHere = createRequire(import.meta.url);
    entry = createRequire(fromHere.resolve('node-llama-cpp')).resolve(`@node-llama-cpp/${build}`);
  } catch {
    return missing(`@node-llama-cpp/${build} is not installed`);
  }
  const { getBinsDir } = (await import(pathToFileURL(entry).href)) as { getBinsDir(): { binsDir: string } };
  const folder = join(getBinsDir().binsDir, build);
  const name = existsSync(folder) && readdirSync(folder).find((file) => /^(?:lib)?ggml-base\.\w+$/.test(file));
  if (!name) return missing(`@node-llama-cpp/${build} has no ggml-base library`);
  return { ggmlBase: join(folder, name), missing: undefined };
}
