import type { FloatTensor } from '@phiblocks/tensor';
import { cacheFormats, type WasmCache } from './kv-cache.ts';
import type { Machine } from './machine.ts';

/** So many positions at a time: the memory of the backend never gives back what it has grown by. */
const positionsAtOnce = 256;

/**
 * The committed keys and values of one layer, `[S, K·D]`. Appending them to a cache of the same format stores the same bits.
 *
 * @throws Phi3Error `OOM`, `WORKER_LOST`
 */
export function readCache(
  machine: Machine,
  cache: WasmCache,
  layer: number,
): { keys: FloatTensor; values: FloatTensor } {
  const { table, start: length } = cache.stored('readCache', layer);
  const { numKeyValueHeads: heads, headDim } = cache;
  const width = heads * headDim;
  const keys = new Float32Array(length * width);
  const values = new Float32Array(length * width);
  const piece = Math.min(positionsAtOnce, length) * width;
  const space = machine.heap.allocate(8 * piece);
  try {
    for (let start = 0; start < length; start += positionsAtOnce) {
      const count = Math.min(positionsAtOnce, length - start);
      const [keysAt, valuesAt] = [space, space + 4 * piece];
      const job = [table, cacheFormats[cache.format], heads, headDim, start, count, keysAt, valuesAt];
      machine.run('readCache', 8 * count * width, job);
      const { floats } = machine;
      keys.set(floats.subarray(keysAt / 4, keysAt / 4 + count * width), start * width);
      values.set(floats.subarray(valuesAt / 4, valuesAt / 4 + count * width), start * width);
    }
  } finally {
    machine.heap.free(space);
  }
  return { keys: { data: keys, shape: [length, width] }, values: { data: values, shape: [length, width] } };
}
