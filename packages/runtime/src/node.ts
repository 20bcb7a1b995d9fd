/**
 * Models from the disk, from installed packages and from the Hugging Face hub, for Node.
 *
 * @module @phiblocks/runtime/node
 */
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { Phi3Error } from '@phiblocks/tensor';
import { createPhi3SmallTokenizer, parseTokenizerJson, type Tokenizer } from '@phiblocks/tokenizer';
import type { RgbImage } from '@phiblocks/vision';
import type { ByteSource } from '@phiblocks/weights';
import { openFileSource, openSafetensorsDirectory } from '@phiblocks/weights/node';
import { type Checkpoint, openCheckpointFiles, openGgufCheckpoint, openGgufTokenizer } from './checkpoint.ts';
import { createLanguageModel, type LanguageModel, type LanguageModelOptions } from './language-model.ts';
import { decodeImage } from './node/decode-image.ts';
import { locatePackagedCheckpoint } from './node/locate-checkpoint.ts';
import { type FromHubOptions, resolveModelPath } from './node/resolve-model-path.ts';

/**
 * Opens a checkpoint on disk: a directory in the published layout, or a `.gguf` file (of a split model any part, which stands
 * for all of them). In a directory of the Hugging Face
 * cache the links into its own `blobs` folder are followed; any other link that leads out of the directory is an error.
 *
 * Where nothing is at the path, `@phiblocks/nano/nano-mini` means the checkpoint `models/nano-mini` of an installed package.
 *
 * @param pathOrName - the directory or file, or the package and the name of a checkpoint in it
 * @throws Phi3Error `CHECKPOINT_NOT_FOUND` when there is nothing at the path, `CHECKPOINT_PACKAGE_MISSING` when the package is
 * not installed; otherwise as `openCheckpointFiles` and `openGgufCheckpoint`
 */
export async function openCheckpoint(pathOrName: string): Promise<Checkpoint> {
  const path = await locateCheckpoint(pathOrName);
  if (!(await isDirectory('openCheckpoint', path))) return openGgufCheckpoint(await openGgufParts(path));
  return openCheckpointFiles({
    name: basename(resolve(path)),
    open: async (name) => ((await exists(join(path, name))) ? openFileSource(join(path, name)) : undefined),
    openWeights: () => openSafetensorsDirectory(path, { allowCacheLinks: true }),
  });
}

/** How to load a model in Node. */
export interface LoadModelOptions extends LanguageModelOptions {
  /**
   * Lets `loadModel` take a name on the Hugging Face hub, `owner/name` or `owner/name:Q4_K_M`, where there is no such path;
   * `{}` will do. Without it no network is touched.
   */
  readonly hub?: Omit<FromHubOptions, 'signal'> | undefined;
}

/**
 * Loads a model from disk; with the option `hub` also by its name on the Hugging Face hub, from the cache or, where the
 * cache does not have it, after fetching it.
 *
 * @param model - a directory in the published layout, a `.gguf` file, or a checkpoint of an installed package such as
 * `@phiblocks/nano/nano-mini`; with `hub` also `owner/name[:choice]`
 * @param options - backend (default `auto`: WebAssembly where it works), progress, signal, chat template, another attention
 * @throws Phi3Error as `openCheckpoint` and `createLanguageModel`; with `hub` the codes of `@phiblocks/hub`
 */
export async function loadModel(model: string, options: LoadModelOptions = {}): Promise<LanguageModel> {
  const { hub, ...more } = options;
  const path = hub === undefined ? model : await resolveModelPath(model, { ...hub, signal: options.signal });
  const checkpoint = await openCheckpoint(path);
  try {
    return await createLanguageModel(checkpoint, {
      ...more,
      backend: options.backend ?? 'auto',
      decodeImage: options.decodeImage ?? decodeImageBlob,
    });
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

export { decodeImage } from './node/decode-image.ts';
export { locatePackagedCheckpoint } from './node/locate-checkpoint.ts';
export { type FromHubOptions, resolveModelPath } from './node/resolve-model-path.ts';

/**
 * Reads an image file.
 *
 * @throws Phi3Error `IM_FORMAT`, `IM_DECODE`, `IM_DECODER_MISSING`, `IM_FILE_TOO_LARGE`; ImageError `IM_SIZE`, `IM_TOO_LARGE`
 */
export async function readImageFile(path: string): Promise<RgbImage> {
  const { size } = await stat(path);
  if (size > largestImageFile) {
    throw new Phi3Error({
      code: 'IM_FILE_TOO_LARGE',
      function: 'readImageFile',
      expected: `at most ${largestImageFile} bytes`,
      got: size,
      where: { file: path },
    });
  }
  return decodeImage(await readFile(path));
}

/** 100 million pixels, the most that a picture may have, without compression. */
const largestImageFile = 400_000_000;

async function decodeImageBlob(file: Blob): Promise<RgbImage> {
  return decodeImage(new Uint8Array(await file.arrayBuffer()));
}

/**
 * Reads only the tokenizer of a checkpoint.
 *
 * @param pathOrName - a checkpoint directory, a `tokenizer.json` (a `tokenizer_config.json` beside it is read too), the
 * `cl100k_base.tiktoken` of Phi-3-small, a `.gguf` file, or a checkpoint of an installed package
 * @throws Phi3Error `CHECKPOINT_NOT_FOUND`, `CHECKPOINT_PACKAGE_MISSING`, `CHECKPOINT_FILE_MISSING`, and the codes of
 * `@phiblocks/tokenizer`
 */
export async function openTokenizer(pathOrName: string): Promise<Tokenizer> {
  const path = await locateCheckpoint(pathOrName);
  const directory = await isDirectory('openTokenizer', path);
  if (!directory && path.toLowerCase().endsWith('.gguf')) return openGgufTokenizer(await openGgufParts(path));
  const ranks = directory ? join(path, 'cl100k_base.tiktoken') : path;
  const isSmall = directory
    ? !(await exists(join(path, 'tokenizer.json'))) && (await exists(ranks))
    : ranks.endsWith('.tiktoken');
  if (isSmall) return createPhi3SmallTokenizer(await readFile(ranks));
  const file = directory ? join(path, 'tokenizer.json') : path;
  if (!(await exists(file))) {
    throw new Phi3Error({
      code: 'CHECKPOINT_FILE_MISSING',
      function: 'openTokenizer',
      expected: 'tokenizer.json',
      where: { file: path },
    });
  }
  const configFile = join(dirname(file), 'tokenizer_config.json');
  const tokenizerConfig = (await exists(configFile)) ? await readFile(configFile) : undefined;
  return parseTokenizerJson(await readFile(file), { tokenizerConfig });
}

/** All parts of a split model by the path of one, `…-00002-of-00003.gguf`; else the file itself. */
async function openGgufParts(path: string): Promise<ByteSource[]> {
  const [, stem, count] = /^(.*)-\d{5}-of-(\d{5})\.gguf$/i.exec(path) ?? [];
  if (stem === undefined || Number(count) === 0) return [await openFileSource(path)];
  const sources: ByteSource[] = [];
  try {
    for (let number = 1; number <= Number(count); number++) {
      sources.push(await openFileSource(`${stem}-${String(number).padStart(5, '0')}-of-${count}.gguf`));
    }
    return sources;
  } catch (error) {
    await Promise.all(sources.map((source) => source.close()));
    throw error;
  }
}

/** What is on disk comes first; a name of a packaged checkpoint is tried where nothing is. */
async function locateCheckpoint(pathOrName: string): Promise<string> {
  if (await exists(pathOrName)) return pathOrName;
  return locatePackagedCheckpoint(pathOrName) ?? pathOrName;
}

async function isDirectory(functionName: string, path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (cause) {
    throw new Phi3Error({
      code: 'CHECKPOINT_NOT_FOUND',
      function: functionName,
      expected: 'a checkpoint directory or a file',
      got: path,
      where: { file: path },
      cause,
    });
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
