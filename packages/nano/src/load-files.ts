import type { NanoModelFiles } from './files.ts';
import type { NanoModelName } from './names.ts';

/** One module per model, so that a bundler takes along only what is asked for. */
const modules: { readonly [Name in NanoModelName]: () => Promise<{ readonly files: NanoModelFiles }> } = {
  'nano-mini': () => import('./nano-mini.ts'),
  'nano-mini-long': () => import('./nano-mini-long.ts'),
  'nano-small': () => import('./nano-small.ts'),
  'nano-medium': () => import('./nano-medium.ts'),
  'nano-moe': () => import('./nano-moe.ts'),
  'nano-vision': () => import('./nano-vision.ts'),
};

/**
 * Where the files of a model are. Nothing is read: open them with `fetch` in a browser, as files in Node.
 *
 * @param name - one of `nanoModelNames`
 * @throws RangeError for another name
 * @example
 * const files = await nanoModelFiles('nano-mini');
 * files['config.json'].protocol; // => 'file:'
 */
export async function nanoModelFiles(name: NanoModelName): Promise<NanoModelFiles> {
  if (!Object.hasOwn(modules, name)) {
    throw new RangeError(
      `nanoModelFiles(name): expected ${Object.keys(modules).join(', ')}, got ${JSON.stringify(name)}`,
    );
  }
  const { files } = await modules[name]();
  return files;
}
