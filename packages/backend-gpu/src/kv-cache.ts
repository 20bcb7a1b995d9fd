import { ArgumentError, type CacheHandle, type CacheShape, Phi3Error } from '@phiblocks/tensor';
import type { Slot, WorkQueue } from './work-queue.ts';

/** Positions that may be appended one by one before they are joined to the others. */
const mostRecent = 128;

interface Layer {
  /** Positions from 0 on, a row each: keys of all heads, then values of all heads. It may hold more than `storedCount`. */
  stored: Slot | undefined;
  storedCount: number;
  /** The positions behind them. */
  recent: Slot | undefined;
  recentCount: number;
  /** How many of all these are not committed. */
  appended: number;
}

/** Where the positions of a layer lie. */
export interface StoredPositions {
  readonly stored: Slot | undefined;
  readonly storedCount: number;
  readonly recent: Slot | undefined;
  /** All positions, those not yet committed included. */
  readonly length: number;
}

/**
 * Keys and values on the device. gpu.js makes a new array with every kernel and writes into none, so appending copies: a short
 * array of recent positions usually, everything once in 128 positions.
 */
export class GpuCache implements CacheHandle {
  readonly numLayers: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  readonly #queue: WorkQueue;
  readonly #layers: Layer[];
  #length = 0;

  constructor(queue: WorkQueue, { numLayers, numKeyValueHeads, headDim }: CacheShape) {
    for (const [field, count] of Object.entries({ numLayers, numKeyValueHeads, headDim })) {
      expectWhole('createCache', `shape.${field}`, count, 1, 2 ** 16);
    }
    this.#queue = queue;
    this.numLayers = numLayers;
    this.numKeyValueHeads = numKeyValueHeads;
    this.headDim = headDim;
    this.#layers = Array.from({ length: numLayers }, () => ({
      stored: undefined,
      storedCount: 0,
      recent: undefined,
      recentCount: 0,
      appended: 0,
    }));
  }

  get length(): number {
    return this.#length;
  }

  get sizeInBytes(): number {
    let elements = 0;
    for (const { stored, recent } of this.#layers) {
      if (stored) elements += stored.columns * stored.rows;
      if (recent) elements += recent.columns * recent.rows;
    }
    return 4 * elements;
  }

  /** Keys or values of one position. */
  get width(): number {
    return this.numKeyValueHeads * this.headDim;
  }

  /** Puts `numTokens` rows of keys and values behind the committed positions, in the place of what was not committed. */
  append(layer: number, keys: Slot, values: Slot, numTokens: number): void {
    const one = this.#layer('appendToCache', layer);
    one.appended = numTokens;
    if (numTokens === 0) {
      this.#trim(one, this.#length);
      return;
    }
    this.#trim(one, this.#length);
    const isFew = one.recentCount + numTokens <= mostRecent;
    // A second array only where there is a first to spare.
    const target = isFew && one.storedCount > 0 ? 'recent' : 'stored';
    if (target === 'stored' && one.recentCount > 0) {
      this.#replace(one, 'stored', this.#joined(one));
      one.storedCount += one.recentCount;
      this.#drop(one, 'recent');
    }
    const count = target === 'stored' ? one.storedCount : one.recentCount;
    const old = target === 'stored' ? one.stored : one.recent;
    const rows = count + numTokens;
    const args = [old ?? keys, keys, values, count, this.width];
    this.#replace(one, target, this.#queue.launch('appendRows', {}, 2 * this.width, rows, args));
    if (target === 'stored') one.storedCount = rows;
    else one.recentCount = rows;
  }

  /** @throws ArgumentError for a layer that is none */
  positions(functionName: string, layer: number): StoredPositions {
    const one = this.#layer(functionName, layer);
    const length = this.#length + one.appended;
    const storedCount = Math.min(one.storedCount, length);
    return { stored: one.stored, storedCount, recent: one.recent, length };
  }

  commit(numTokens: number): void {
    for (const [index, { appended }] of this.#layers.entries()) {
      if (appended === numTokens) continue;
      throw new Phi3Error({
        code: 'KV_COMMIT',
        function: 'commit',
        argument: 'numTokens',
        expected: `${appended}, as many positions as were appended to layer ${index}`,
        got: numTokens,
      });
    }
    this.#length += numTokens;
    for (const layer of this.#layers) layer.appended = 0;
  }

  /** Forgets the positions from `length` on. */
  truncate(length: number): void {
    expectWhole('truncateCache', 'length', length, 0, this.#length);
    this.#length = length;
    for (const layer of this.#layers) {
      layer.appended = 0;
      this.#trim(layer, length);
    }
  }

  free(): void {
    for (const layer of this.#layers) {
      this.#drop(layer, 'stored');
      this.#drop(layer, 'recent');
    }
  }

  /** Counts only the first `length` positions; arrays that hold nothing more are given back. */
  #trim(layer: Layer, length: number): void {
    layer.storedCount = Math.min(layer.storedCount, length);
    layer.recentCount = Math.min(layer.recentCount, length - layer.storedCount);
    if (layer.storedCount === 0) this.#drop(layer, 'stored');
    if (layer.recentCount === 0) this.#drop(layer, 'recent');
  }

  #joined({ stored, storedCount, recent, recentCount }: Layer): Slot {
    const rows = storedCount + recentCount;
    const args = [stored ?? recent!, recent!, storedCount];
    return this.#queue.launch('joinRows', {}, 2 * this.width, rows, args);
  }

  #replace(layer: Layer, which: 'stored' | 'recent', slot: Slot): void {
    const old = layer[which];
    layer[which] = slot;
    if (old) this.#queue.release(old);
  }

  #drop(layer: Layer, which: 'stored' | 'recent'): void {
    const old = layer[which];
    layer[which] = undefined;
    if (which === 'stored') layer.storedCount = 0;
    else layer.recentCount = 0;
    if (old) this.#queue.release(old);
  }

  #layer(functionName: string, layer: number): Layer {
    expectWhole(functionName, 'layer', layer, 0, this.numLayers - 1);
    return this.#layers[layer]!;
  }
}

function expectWhole(functionName: string, argument: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new ArgumentError({
    function: functionName,
    argument,
    expected: `a whole number from ${least} to ${most}`,
    got: value,
  });
}
