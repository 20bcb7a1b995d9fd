import { expectKnownOptions, isPhi3Error, Phi3Error } from '@phiblocks/tensor';
import type { ByteSource } from '../byte-source.ts';
import type { WeightsErrorCode } from '../error-codes.ts';
import { openSafetensors, safetensorsOptionNames } from '../safetensors/open-safetensors.ts';
import { openShardedSafetensors, type ShardedSafetensorsOptions } from '../safetensors/open-sharded-safetensors.ts';
import { parseShardIndex } from '../safetensors/parse-index.ts';
import type { WeightSource } from '../weight-source.ts';
import { readCacheRevisions } from './cache-revisions.ts';
import { type ContainmentOptions, openContainedFile, realPath } from './contained-file.ts';

const functionName = 'openSafetensorsDirectory';
const singleName = 'model.safetensors';
const indexName = 'model.safetensors.index.json';

/** How strictly to open a folder. */
export interface SafetensorsDirectoryOptions
  extends Omit<ShardedSafetensorsOptions, 'indexName' | 'revisions'>,
    ContainmentOptions {}

/**
 * Opens the checkpoint in a folder, for Node: `model.safetensors`, or `model.safetensors.index.json` with its shards. When
 * both are there the single file is read, as `transformers` does, and a warning says so.
 *
 * Every file must really lie in the folder (see {@link ContainmentOptions}). Where the download tool of the Hugging Face hub
 * has left its records beside the files, index and shards must be of one commit. In a folder of that tool's cache
 * (`snapshots/<commit>`) they are by construction. Without either, mixed revisions show only where tensors no longer fit.
 *
 * @param directory - path of the folder; may itself be a link
 * @param options - limits and extra checks
 * @throws Phi3Error `FILE_NOT_FOUND` when neither is there, `IX_SYMLINK` or `IX_HARD_LINK` for a file that is not plainly in
 * the folder, `IX_MIXED_REVISIONS`, and all codes of `openSafetensors` and `openShardedSafetensors`
 * @example
 * const weights = await openSafetensorsDirectory(folder);
 * [...weights.tensors.keys()]; // => ['a']
 * await weights.close();
 */
export async function openSafetensorsDirectory(
  directory: string,
  options: SafetensorsDirectoryOptions = {},
): Promise<WeightSource> {
  const { allowCacheLinks, allowHardLinks, ...sharded } = options;
  const containment = { allowCacheLinks, allowHardLinks };
  const { strict: _, maxIndexSizeInBytes = 250_000_000, ...single } = sharded;
  expectKnownOptions(functionName, options, [
    ...safetensorsOptionNames,
    'strict',
    'maxIndexSizeInBytes',
    'allowCacheLinks',
    'allowHardLinks',
  ]);
  const root = await realPath(functionName, directory);

  const file = await openIfPresent(root, singleName, containment);
  const index = await openIfPresent(root, indexName, containment).catch(async (error) => {
    await file?.close();
    throw error;
  });
  if (file !== undefined) {
    await index?.close();
    const weights = await openSafetensors(file, single);
    if (index === undefined) return weights;
    return { ...weights, warnings: [...weights.warnings, `${singleName} was read, ${indexName} beside it was not.`] };
  }
  if (index === undefined) {
    throw new Phi3Error<WeightsErrorCode>({
      code: 'FILE_NOT_FOUND',
      function: functionName,
      expected: `${singleName} or ${indexName}`,
      got: 'neither',
      where: { file: directory },
    });
  }
  const bytes = await readIndex(index, maxIndexSizeInBytes);
  const limits = { maxSizeInBytes: maxIndexSizeInBytes, maxTensors: sharded.maxTensors ?? 1_000_000 };
  const { shards } = parseShardIndex(bytes, indexName, limits);
  const revisions = await readCacheRevisions(root, [indexName, ...shards]);
  return openShardedSafetensors(bytes, (name) => openContainedFile(functionName, root, name, containment), {
    ...sharded,
    revisions,
  });
}

async function openIfPresent(
  root: string,
  name: string,
  containment: ContainmentOptions,
): Promise<ByteSource | undefined> {
  try {
    return await openContainedFile(functionName, root, name, containment);
  } catch (error) {
    if (isPhi3Error(error, 'FILE_NOT_FOUND')) return undefined;
    throw error;
  }
}

async function readIndex(index: ByteSource, maxSizeInBytes: number): Promise<Uint8Array> {
  try {
    if (index.sizeInBytes > maxSizeInBytes) {
      throw new Phi3Error<WeightsErrorCode>({
        code: 'IX_SIZE',
        function: functionName,
        expected: `at most ${maxSizeInBytes} bytes`,
        got: index.sizeInBytes,
        where: { file: indexName },
      });
    }
    return await index.read(0, index.sizeInBytes);
  } finally {
    await index.close();
  }
}
