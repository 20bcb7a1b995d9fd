import {
  ArgumentError,
  type CacheShape,
  expectKnownOptions,
  expectShape,
  type FloatTensor,
  Phi3Error,
  ShapeError,
} from '@phiblocks/tensor';

/** Shape of a {@link KvCache} and how much room it starts with. */
export interface KvCacheOptions extends CacheShape {
  /** Positions to reserve at once; 0 when absent. The cache grows beyond it by need. */
  readonly initialCapacity?: number | undefined;
}

/** No Phi-3 member reaches further than 2^17 positions; a claim above 2^24 comes from a broken file. */
const positionLimit = 2 ** 24;

/**
 * Makes an empty key/value cache for one sequence.
 *
 * @param options - numbers of layers and key/value heads, and the size of a head
 * @throws ArgumentError `ARGUMENT` for counts below 1 or an initial capacity outside 0 to 2^24
 * @throws Phi3Error `OPTION_UNKNOWN`; `OOM` when the initial capacity cannot be had
 * @example
 * const cache = createKvCache({ numLayers: 1, numKeyValueHeads: 2, headDim: 4 });
 * const rows = { data: new Float32Array(3 * 8).fill(1), shape: [3, 8] };
 * cache.append(0, rows, rows);
 * cache.keys(0).shape; // => [3, 2, 4]
 * cache.length; // => 0
 * cache.commit(3);
 * cache.length; // => 3
 */
export function createKvCache(options: KvCacheOptions): KvCache {
  return new KvCache(options);
}

/**
 * Keys and values of all positions of one sequence, per layer and row-major: `[positions, K, D]` in float32.
 *
 * A forward pass appends its T tokens to each layer as it comes to it, and commits them when all layers have them. Until
 * then `length` stays: a pass that fails or is aborted half-way leaves the cache as it was, and the next pass writes over
 * what it left behind.
 *
 * Room doubles when it runs out, layer by layer, so that appending one token at a time costs constant time on average; a
 * first append takes exactly the room it needs.
 */
export class KvCache {
  readonly numLayers: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  readonly #rowLength: number;
  readonly #keys: Float32Array[] = [];
  readonly #values: Float32Array[] = [];
  /** Per layer, the positions appended behind the committed ones. */
  readonly #appended: number[] = [];
  #length = 0;

  constructor(options: KvCacheOptions) {
    expectKnownOptions('createKvCache', options, ['numLayers', 'numKeyValueHeads', 'headDim', 'initialCapacity']);
    const { numLayers, numKeyValueHeads, headDim, initialCapacity = 0 } = options;
    for (const [field, count] of Object.entries({ numLayers, numKeyValueHeads, headDim })) {
      expectWhole('createKvCache', `options.${field}`, count, 1, 2 ** 20);
    }
    expectWhole('createKvCache', 'options.initialCapacity', initialCapacity, 0, positionLimit);
    this.numLayers = numLayers;
    this.numKeyValueHeads = numKeyValueHeads;
    this.headDim = headDim;
    this.#rowLength = numKeyValueHeads * headDim;
    for (let layer = 0; layer < numLayers; layer++) {
      this.#keys.push(this.#room('createKvCache', initialCapacity));
      this.#values.push(this.#room('createKvCache', initialCapacity));
      this.#appended.push(0);
    }
  }

  /** Positions that are complete in every layer. */
  get length(): number {
    return this.#length;
  }

  /** Bytes reserved now, used or not. */
  get sizeInBytes(): number {
    let elements = 0;
    for (const keys of this.#keys) elements += 2 * keys.length;
    return elements * Float32Array.BYTES_PER_ELEMENT;
  }

  /**
   * Writes keys and values behind the committed positions of one layer. A second append to the same layer before the
   * commit replaces the first.
   *
   * @param layer - index of the layer
   * @param keys - `[T, K·D]` or `[T, K, D]`, copied
   * @param values - likewise
   * @throws ArgumentError `ARGUMENT` for a layer that does not exist or more than 2^24 positions
   * @throws ShapeError `SHAPE` when a shape does not fit the cache or keys and values differ in T
   * @throws Phi3Error `OOM` when the cache cannot grow; it is left as it was
   */
  append(layer: number, keys: FloatTensor, values: FloatTensor): void {
    this.#expectLayer('append', layer);
    const numTokens = this.#expectRows('keys', keys);
    if (this.#expectRows('values', values) !== numTokens) {
      throw new ShapeError({
        function: 'KvCache.append',
        argument: 'values',
        expected: `${numTokens} tokens, as many as keys`,
        got: values.shape[0],
      });
    }
    const end = this.#length + numTokens;
    expectWhole('KvCache.append', 'positions', end, 0, positionLimit);
    this.#reserve(layer, end);
    this.#keys[layer]!.set(keys.data, this.#length * this.#rowLength);
    this.#values[layer]!.set(values.data, this.#length * this.#rowLength);
    this.#appended[layer] = numTokens;
  }

  /**
   * Counts the appended positions as complete.
   *
   * @param numTokens - how many were appended to every layer
   * @throws Phi3Error `KV_COMMIT` when a layer has another number; nothing changes
   */
  commit(numTokens: number): void {
    for (let layer = 0; layer < this.numLayers; layer++) {
      if (this.#appended[layer] !== numTokens) {
        throw new Phi3Error({
          code: 'KV_COMMIT',
          function: 'KvCache.commit',
          argument: 'numTokens',
          expected: `${this.#appended[layer]}, as many positions as were appended to layer ${layer}`,
          got: numTokens,
        });
      }
    }
    this.#length += numTokens;
    this.#appended.fill(0);
  }

  /**
   * Forgets the positions from `length` on, and whatever is not committed. The room is kept.
   *
   * Where a position's keys depend on the length they were written at (LongRoPE under the policy `reference`), shortening
   * does not change them back: see `crossesBoundary` of @phiblocks/longrope.
   *
   * @param length - from 0 to the present length
   * @throws ArgumentError `ARGUMENT` for any other length
   */
  truncate(length: number): void {
    expectWhole('KvCache.truncate', 'length', length, 0, this.#length);
    this.#length = length;
    this.#appended.fill(0);
  }

  /**
   * Keys of a layer, those not yet committed included: a view `[S, K, D]`, good until the next append to that layer.
   *
   * @throws ArgumentError `ARGUMENT` for a layer that does not exist
   */
  keys(layer: number): FloatTensor {
    this.#expectLayer('keys', layer);
    return this.#view(this.#keys[layer]!, layer);
  }

  /**
   * Values of a layer, likewise.
   *
   * @throws ArgumentError `ARGUMENT` for a layer that does not exist
   */
  values(layer: number): FloatTensor {
    this.#expectLayer('values', layer);
    return this.#view(this.#values[layer]!, layer);
  }

  #view(rows: Float32Array, layer: number): FloatTensor {
    const numPositions = this.#length + this.#appended[layer]!;
    return {
      data: rows.subarray(0, numPositions * this.#rowLength),
      shape: [numPositions, this.numKeyValueHeads, this.headDim],
    };
  }

  #reserve(layer: number, needed: number): void {
    const capacity = this.#keys[layer]!.length / this.#rowLength;
    if (needed <= capacity) return;
    const grown = Math.min(Math.max(needed, 2 * capacity), positionLimit);
    // Both rooms before either is exchanged: a failure leaves the layer whole.
    const keys = this.#room('KvCache.append', grown);
    const values = this.#room('KvCache.append', grown);
    const committed = this.#length * this.#rowLength;
    keys.set(this.#keys[layer]!.subarray(0, committed));
    values.set(this.#values[layer]!.subarray(0, committed));
    this.#keys[layer] = keys;
    this.#values[layer] = values;
  }

  #room(functionName: string, numPositions: number): Float32Array {
    try {
      return new Float32Array(numPositions * this.#rowLength);
    } catch (cause) {
      throw new Phi3Error({
        code: 'OOM',
        function: functionName,
        expected: `${numPositions * this.#rowLength * 4} bytes for ${numPositions} positions of one layer`,
        hint: 'Use a shorter context',
        cause,
      });
    }
  }

  #expectLayer(method: string, layer: number): void {
    expectWhole(`KvCache.${method}`, 'layer', layer, 0, this.numLayers - 1);
  }

  /** Accepts a projection's `[T, K·D]` and heads `[T, K, D]`: the same numbers in the same order. Returns T. */
  #expectRows(argument: string, rows: FloatTensor): number {
    const shape = rows.shape.length === 3 ? [null, this.numKeyValueHeads, this.headDim] : [null, this.#rowLength];
    expectShape(rows, shape, { function: 'KvCache.append', argument });
    return rows.shape[0]!;
  }
}

function expectWhole(functionName: string, argument: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new ArgumentError({
      function: functionName,
      argument,
      expected: `a whole number from ${least} to ${most}`,
      got: value,
    });
  }
}
