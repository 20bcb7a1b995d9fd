import { expectKnownOptions, isPhi3Error, Phi3Error, printable } from '@phiblocks/tensor';
import type { ByteSource } from '../byte-source.ts';
import type { WeightsErrorCode } from '../error-codes.ts';
import type { StoredTensor, WeightSource } from '../weight-source.ts';
import {
  expectLimit,
  openSafetensors,
  type SafetensorsOptions,
  type SafetensorsSource,
  safetensorsOptionNames,
  tensorNotFound,
} from './open-safetensors.ts';
import { parseShardIndex } from './parse-index.ts';

/** How strictly to open a sharded checkpoint; the options of {@link SafetensorsOptions} hold for each shard. */
export interface ShardedSafetensorsOptions extends SafetensorsOptions {
  /** Name of the index for messages. Default: `model.safetensors.index.json`. */
  indexName?: string | undefined;
  /** Largest index. Default: 250,000,000 bytes. */
  maxIndexSizeInBytes?: number | undefined;
  /** Reject a shard that holds tensors which the index does not list. Default: false, which is a warning. */
  strict?: boolean | undefined;
  /**
   * Of which revision each file is, as whoever downloaded them knows it (a commit, for example), by file name; the index
   * counts under `indexName`. Two different revisions are an error. Files that are not in the map are not compared.
   */
  revisions?: ReadonlyMap<string, string> | undefined;
}

/**
 * Opens a checkpoint in several safetensors files through its `model.safetensors.index.json`. Every shard's header is read
 * and checked, and index and shards must agree: each listed tensor is in the shard named for it and in no other.
 *
 * The index is the authority on what belongs to the checkpoint: a tensor that it does not list is left out, with a warning.
 * `metadata.total_size` is compared with the real sum, a difference is a warning. Shards of two revisions are recognised by
 * `revisions`, where the caller gives them; without it only by what no longer fits together.
 *
 * @param index - the index as bytes or text
 * @param openShard - opens the shard of that name; for a missing one it returns `undefined` or throws `FILE_NOT_FOUND`. The
 * name has been checked: plain segments joined by `/`, none of them `..`
 * @param options - limits and extra checks
 * @throws Phi3Error `IX_…` for what is wrong with the index or between it and its shards, `ST_…` and `FILE_…` for a shard
 * @example
 * const shard = encodeSafetensors([{ name: 'a', dtype: 'F32', shape: [], bytes: new Uint8Array(4) }]);
 * const index = '{"metadata": {"total_size": 4}, "weight_map": {"a": "model-00001-of-00001.safetensors"}}';
 * const weights = await openShardedSafetensors(index, async (name) => createByteSource(shard, name));
 * weights.tensors.get('a').file; // => 'model-00001-of-00001.safetensors'
 */
export async function openShardedSafetensors(
  index: Uint8Array | string,
  openShard: (name: string) => Promise<ByteSource | undefined>,
  options: ShardedSafetensorsOptions = {},
): Promise<WeightSource> {
  expectKnownOptions('openShardedSafetensors', options, [
    ...safetensorsOptionNames,
    'indexName',
    'maxIndexSizeInBytes',
    'strict',
    'revisions',
  ]);
  const { indexName: file = 'model.safetensors.index.json', maxIndexSizeInBytes = 250_000_000 } = options;
  const { strict = false, revisions, maxTensors = 1_000_000 } = options;
  expectLimit('openShardedSafetensors', 'maxIndexSizeInBytes', maxIndexSizeInBytes);
  expectLimit('openShardedSafetensors', 'maxTensors', maxTensors);
  const bytes = typeof index === 'string' ? new TextEncoder().encode(index) : index;
  const parsed = parseShardIndex(bytes, file, { maxSizeInBytes: maxIndexSizeInBytes, maxTensors });
  if (revisions !== undefined) checkRevisions(revisions, file, parsed.shards);

  const sources = await openAll(file, parsed.shards, openShard);
  const opened = new Map<string, SafetensorsSource>();
  async function closeAll(): Promise<void> {
    // A shard that is open as safetensors closes its own source; closing a source twice is harmless.
    for (const source of sources.values()) await source.close();
  }
  try {
    for (const [shard, source] of sources) opened.set(shard, await openSafetensors(source, shardOptions(options)));
    const { tensors, warnings } = join(file, parsed.shardOfTensor, opened, strict);
    const totalSize = sumOfSizes(opened);
    if (parsed.declaredTotalSize !== undefined && parsed.declaredTotalSize !== totalSize) {
      warnings.push(
        `${file} declares a total_size of ${parsed.declaredTotalSize} bytes; the shards hold ${totalSize}.`,
      );
    }
    const shardOf = (functionName: string, name: string): SafetensorsSource => {
      const shard = parsed.shardOfTensor.get(name);
      if (shard === undefined) throw tensorNotFound(functionName, name, file);
      return opened.get(shard)!;
    };
    return {
      tensors,
      warnings: [...parsed.warnings, ...warnings],
      readBytes: async (name, into) => shardOf('readBytes', name).readBytes(name, into),
      readFloats: async (name) => shardOf('readFloats', name).readFloats(name),
      readMatrix: async (name) => shardOf('readMatrix', name).readMatrix(name),
      close: closeAll,
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

function shardOptions(options: ShardedSafetensorsOptions): SafetensorsOptions {
  const { indexName: _, maxIndexSizeInBytes: __, strict: ___, revisions: ____, ...rest } = options;
  return rest;
}

/** Opens every shard, or closes those that were opened and says all that are missing at once. */
async function openAll(
  file: string,
  shards: readonly string[],
  openShard: (name: string) => Promise<ByteSource | undefined>,
): Promise<Map<string, ByteSource>> {
  const sources = new Map<string, ByteSource>();
  const missing: string[] = [];
  try {
    for (const shard of shards) {
      let source: ByteSource | undefined;
      try {
        source = await openShard(shard);
      } catch (error) {
        if (!isPhi3Error(error, 'FILE_NOT_FOUND')) throw error;
      }
      if (source === undefined) missing.push(shard);
      else sources.set(shard, source);
    }
    if (missing.length > 0) {
      throw new Phi3Error<WeightsErrorCode>({
        code: 'IX_SHARD_MISSING',
        function: 'openShardedSafetensors',
        // The message names a hundred, the property `got` all.
        expected: `all ${shards.length} shards; ${missing.length} are missing: ${missing.slice(0, 100).join(', ')}`,
        got: missing,
        where: { file },
        hint: 'Download the missing files into the folder of the index',
      });
    }
    return sources;
  } catch (error) {
    for (const source of sources.values()) await source.close();
    throw error;
  }
}

/** Checks that index and shards agree, and lists the tensors shard by shard in file order. */
function join(
  file: string,
  shardOfTensor: ReadonlyMap<string, string>,
  opened: ReadonlyMap<string, SafetensorsSource>,
  strict: boolean,
): { tensors: Map<string, StoredTensor>; warnings: string[] } {
  const warnings: string[] = [];
  const tensors = new Map<string, StoredTensor>();
  const seenIn = new Map<string, string>();
  for (const [shard, source] of opened) {
    const unlisted: string[] = [];
    for (const [name, tensor] of source.tensors) {
      const other = seenIn.get(name);
      if (other !== undefined) {
        const got = [other, shard];
        throw disagreement('IX_DUPLICATE_TENSOR', 'a tensor in one shard only', got, { file: shard, tensor: name });
      }
      seenIn.set(name, shard);
      const listed = shardOfTensor.get(name);
      if (listed === shard) tensors.set(name, tensor);
      else if (listed === undefined) unlisted.push(name);
    }
    if (unlisted.length > 0 && strict) {
      const where = { file: shard, tensor: unlisted[0]! };
      throw disagreement('IX_UNLISTED_TENSOR', `only tensors that ${printable(file)} lists`, unlisted, where);
    }
    warnings.push(...source.warnings);
    if (unlisted.length > 0) {
      const names = unlisted.slice(0, 3).map(printable).join(', ');
      warnings.push(`${shard} holds ${unlisted.length} tensors that ${file} does not list, left out: ${names}.`);
    }
  }
  for (const [name, shard] of shardOfTensor) {
    if (tensors.has(name)) continue;
    const got = seenIn.has(name) ? `it is in ${seenIn.get(name)}` : 'it is in none';
    throw disagreement('IX_TENSOR_MISSING', `the tensor in ${shard}, as ${printable(file)} says`, got, {
      file: shard,
      tensor: name,
    });
  }
  return { tensors, warnings };
}

function sumOfSizes(opened: ReadonlyMap<string, SafetensorsSource>): number {
  let sum = 0;
  for (const source of opened.values()) for (const tensor of source.tensors.values()) sum += tensor.sizeInBytes;
  return sum;
}

function checkRevisions(revisions: ReadonlyMap<string, string>, file: string, shards: readonly string[]): void {
  let first: { file: string; revision: string } | undefined;
  for (const name of [file, ...shards]) {
    const revision = revisions.get(name);
    if (revision === undefined) continue;
    first ??= { file: name, revision };
    if (revision !== first.revision) {
      const got = [`${first.file} of ${first.revision}`, `${name} of ${revision}`];
      throw disagreement('IX_MIXED_REVISIONS', 'every file of the same revision', got, { file: name });
    }
  }
}

function disagreement(
  code: WeightsErrorCode,
  expected: string,
  got: unknown,
  where: { file: string; tensor?: string },
): Phi3Error {
  return new Phi3Error<WeightsErrorCode>({ code, function: 'openShardedSafetensors', expected, got, where });
}
