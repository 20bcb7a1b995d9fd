import { Phi3Error } from '@phiblocks/tensor';
import type { WeightsErrorCode } from '../error-codes.ts';
import { rejectForeignFile } from '../foreign-file.ts';
import { type JsonValue, parseStrictJson } from '../strict-json.ts';
import { checkShardName } from './shard-name.ts';
import { faultOfTensorName } from './tensor-name.ts';

/** A `model.safetensors.index.json` that has been checked. */
export interface ShardIndex {
  /** Which shard holds a tensor, in the order of the index. */
  readonly shardOfTensor: ReadonlyMap<string, string>;
  /** Every shard once, in the order of first mention. */
  readonly shards: readonly string[];
  /** `metadata.total_size` as it stands; a self-reported figure that nothing is allocated by. */
  readonly declaredTotalSize: number | undefined;
  readonly warnings: readonly string[];
}

/** Root and `weight_map` make two; the rest is room for what exporters put into `metadata`. */
const maxDepth = 16;
const maxShards = 10_000;

/**
 * Parses and validates the index of a sharded checkpoint.
 *
 * @param bytes - the whole index
 * @param file - its name for messages
 * @param limits - most bytes and most tensors
 * @throws Phi3Error `IX_…`, `FILE_IS_HTML`, `FILE_IS_LFS_POINTER`
 * @example
 * const text = '{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}';
 * const limits = { maxSizeInBytes: 1000, maxTensors: 10 };
 * parseShardIndex(new TextEncoder().encode(text), 'model.safetensors.index.json', limits).shards.length; // => 2
 */
export function parseShardIndex(
  bytes: Uint8Array,
  file: string,
  limits: { maxSizeInBytes: number; maxTensors: number },
): ShardIndex {
  if (bytes.length > limits.maxSizeInBytes) {
    throw fault('IX_SIZE', `at most ${limits.maxSizeInBytes} bytes`, bytes.length, { file });
  }
  rejectForeignFile(bytes.subarray(0, 128), { function: 'openShardedSafetensors', file });
  const root = parseStrictJson(bytes, {
    function: 'openShardedSafetensors',
    file,
    maxDepth,
    maxValues: 2 * limits.maxTensors + 1000,
    codes: {
      utf8: 'IX_JSON',
      syntax: 'IX_JSON',
      depth: 'IX_JSON',
      duplicate: 'IX_DUPLICATE_KEY',
      limit: 'IX_LIMIT',
    },
  });
  if (!(root instanceof Map)) throw fault('IX_ROOT', 'an object', root, { file });
  const members: ReadonlyMap<string, JsonValue> = root;
  const weightMap = members.get('weight_map');
  if (!(weightMap instanceof Map) || weightMap.size === 0) {
    throw fault('IX_WEIGHT_MAP', 'an object with at least one tensor', weightMap, { file, key: 'weight_map' });
  }
  if (weightMap.size > limits.maxTensors) {
    throw fault('IX_LIMIT', `at most ${limits.maxTensors} tensors`, weightMap.size, { file, key: 'weight_map' });
  }

  const shardOfTensor = new Map<string, string>();
  const shards = new Set<string>();
  for (const [tensor, path] of weightMap as ReadonlyMap<string, JsonValue>) {
    const faultOfName = faultOfTensorName(tensor);
    if (faultOfName !== undefined) throw fault('ST_NAME', faultOfName, tensor, { file, key: 'weight_map' });
    const shard = checkShardName(path, { file, tensor });
    shardOfTensor.set(tensor, shard);
    shards.add(shard);
    if (shards.size > maxShards) {
      throw fault('IX_LIMIT', `at most ${maxShards} shards`, 'more', { file, key: 'weight_map' });
    }
  }
  checkNumberedSets(shards, file);

  const warnings: string[] = [];
  const metadata = members.get('metadata');
  const totalSize = metadata instanceof Map ? metadata.get('total_size') : undefined;
  if (totalSize !== undefined && typeof totalSize !== 'number') {
    warnings.push(`${file}: metadata.total_size is not a number.`);
  }
  for (const key of members.keys()) {
    if (key !== 'metadata' && key !== 'weight_map') {
      warnings.push(`${file} has a member that no reader uses: ${JSON.stringify(key.slice(0, 80))}.`);
    }
  }
  return {
    shardOfTensor,
    shards: [...shards],
    declaredTotalSize: typeof totalSize === 'number' ? totalSize : undefined,
    warnings,
  };
}

/** Names such as `model-00002-of-00004.safetensors` promise a set; the set must be there whole, and only one of it. */
function checkNumberedSets(shards: ReadonlySet<string>, file: string): void {
  const sets = new Map<string, { total: number; numbers: Set<number> }>();
  for (const shard of shards) {
    const match = /^(.*)-(\d{1,9})-of-(\d{1,9})\.safetensors$/.exec(shard);
    if (match === null) continue;
    const prefix = match[1]!;
    const number = Number(match[2]);
    const total = Number(match[3]);
    const set = sets.get(prefix) ?? { total, numbers: new Set() };
    sets.set(prefix, set);
    if (set.total !== total) {
      throw fault('IX_SHARD_SET', `shards of one set of ${set.total}`, shard, { file, key: 'weight_map' });
    }
    if (number < 1 || number > total || set.numbers.has(number)) {
      throw fault('IX_SHARD_SET', `shards numbered once from 1 to ${total}`, shard, { file, key: 'weight_map' });
    }
    set.numbers.add(number);
  }
  for (const { total, numbers } of sets.values()) {
    if (numbers.size === total) continue;
    let firstMissing = 1;
    while (numbers.has(firstMissing)) firstMissing++;
    throw fault(
      'IX_SHARD_SET',
      `all ${total} shards of the set`,
      `${numbers.size} of them; the first missing is number ${firstMissing}`,
      { file, key: 'weight_map' },
    );
  }
}

function fault(
  code: WeightsErrorCode,
  expected: string,
  got: unknown,
  where: { file: string; key?: string },
): Phi3Error {
  return new Phi3Error({ code, function: 'openShardedSafetensors', expected, got, where });
}
