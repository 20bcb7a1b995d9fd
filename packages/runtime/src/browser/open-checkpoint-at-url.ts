import { ArgumentError, expectKnownOptions, isPhi3Error } from '@phiblocks/tensor';
import { type ByteSource, openHttpSource } from '@phiblocks/weights';
import { type Checkpoint, openCheckpointFiles, openGgufCheckpoint } from '../checkpoint.ts';
import { splitGgufNames } from './split-gguf-names.ts';

/** How {@link openCheckpointAtUrl} fetches. */
export interface OpenAtUrlOptions {
  readonly signal?: AbortSignal | undefined;
  /** Default: the `fetch` of the engine. */
  readonly fetch?: typeof fetch | undefined;
}

/**
 * Opens a checkpoint on a web server, which must answer Range requests. Weights are fetched tensor by tensor when a model
 * asks for them; nothing is kept.
 *
 * @param url - of a `.gguf` file (of a split model any part), of a folder in the published layout, or of a
 * `model.safetensors` or `config.json` in it. Relative ones resolve against the page
 * @throws Phi3Error the codes of `openHttpSource`, `openGgufCheckpoint` and `openCheckpointFiles`
 * @throws ArgumentError `ARGUMENT` for an address that is none
 */
export async function openCheckpointAtUrl(url: string | URL, options: OpenAtUrlOptions = {}): Promise<Checkpoint> {
  expectKnownOptions('openCheckpointAtUrl', options, ['signal', 'fetch']);
  const address = parseAddress(url);
  const path = address.pathname.toLowerCase();
  if (path.endsWith('.gguf')) {
    const addresses = siblings(address, splitGgufNames(address.pathname.split('/').at(-1)!));
    return openGgufCheckpoint(await openAll(addresses, options));
  }
  const isFile = /\.(?:safetensors|json)$/.test(path);
  if (!isFile && !path.endsWith('/')) address.pathname += '/';
  const folder = new URL('.', address);
  return openCheckpointFiles({
    name: folder.pathname.split('/').at(-2) || folder.host,
    async open(name) {
      const file = new URL(name.split('/').map(encodeURIComponent).join('/'), folder);
      file.search = address.search;
      try {
        return await openHttpSource(file, options);
      } catch (error) {
        if (isPhi3Error(error, 'FILE_NOT_FOUND')) return undefined;
        throw error;
      }
    },
  });
}

function parseAddress(url: string | URL): URL {
  try {
    return new URL(url, typeof location === 'undefined' ? undefined : location.href);
  } catch {
    throw new ArgumentError({
      function: 'openCheckpointAtUrl',
      argument: 'url',
      expected: 'an http or https address',
      got: String(url),
    });
  }
}

function siblings(address: URL, names: readonly string[]): URL[] {
  return names.map((name) => {
    const other = new URL(address);
    other.pathname = [...address.pathname.split('/').slice(0, -1), name].join('/');
    return other;
  });
}

async function openAll(addresses: readonly URL[], options: OpenAtUrlOptions): Promise<ByteSource[]> {
  const sources: ByteSource[] = [];
  try {
    for (const address of addresses) sources.push(await openHttpSource(address, options));
    return sources;
  } catch (error) {
    await Promise.all(sources.map((source) => source.close()));
    throw error;
  }
}
