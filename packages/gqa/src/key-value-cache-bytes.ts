import { ArgumentError, expectKnownOptions } from '@phiblocks/tensor';

/** What the size of a key/value cache depends on. */
export interface KeyValueCacheSize {
  readonly numLayers: number;
  /** K; equal to the number of query heads in a model without grouping. */
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  /** 4 for float32, 2 for float16 and bfloat16; fractions are allowed for quantized caches. */
  readonly bytesPerElement: number;
  /** Number of tokens. */
  readonly length: number;
}

/**
 * Bytes of the keys and values of one sequence: `2 · numLayers · numKeyValueHeads · headDim · bytesPerElement · length`.
 *
 * @throws ArgumentError `ARGUMENT` for a count that is not a whole number from 0 up, or element bytes that are not positive
 * @throws Phi3Error `OPTION_UNKNOWN`
 * @example
 * const mini = { numLayers: 32, numKeyValueHeads: 32, headDim: 96, bytesPerElement: 2 };
 * keyValueCacheBytes({ ...mini, length: 4096 }) / 2 ** 30; // => 1.5
 */
export function keyValueCacheBytes(size: KeyValueCacheSize): number {
  const name = 'keyValueCacheBytes';
  expectKnownOptions(name, size, ['numLayers', 'numKeyValueHeads', 'headDim', 'bytesPerElement', 'length']);
  const { numLayers, numKeyValueHeads, headDim, bytesPerElement, length } = size;
  for (const [field, count] of Object.entries({ numLayers, numKeyValueHeads, headDim, length })) {
    if (!Number.isSafeInteger(count) || count < 0) {
      throw new ArgumentError({
        function: name,
        argument: `size.${field}`,
        expected: 'a whole number from 0 up',
        got: count,
      });
    }
  }
  if (!(bytesPerElement > 0 && bytesPerElement < Number.POSITIVE_INFINITY)) {
    throw new ArgumentError({
      function: name,
      argument: 'size.bytesPerElement',
      expected: 'a finite number above 0',
      got: bytesPerElement,
    });
  }
  return 2 * numLayers * numKeyValueHeads * headDim * bytesPerElement * length;
}
