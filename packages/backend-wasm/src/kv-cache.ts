import { ArgumentError, type CacheFormat, type CacheHandle, type CacheShape, Phi3Error } from '@phiblocks/tensor';
import type { Machine } from './machine.ts';

/** How keys and values are stored: `assembly/cache.ts` has the same numbers. */
export const cacheFormats: Readonly<Record<CacheFormat, number>> = { f32: 0, f16: 1, q8: 2 };

const positionsPerChunk = 32;
const chunksPerPage = 8;
const positionsPerPage = positionsPerChunk * chunksPerPage;
/** No Phi-3 member reaches further than 2^17 positions. */
const positionLimit = 2 ** 24;

interface Layer {
  readonly pages: number[];
  /** Where the kernels find the addresses of the pages, and for how many there is room. */
  table: number;
  tableSize: number;
  /** Positions behind the committed ones. */
  appended: number;
}

/** Keys and values in WebAssembly memory, in pages that never move (see `assembly/cache.ts`). */
export class WasmCache implements CacheHandle {
  readonly numLayers: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  readonly format: CacheFormat;
  readonly #machine: Machine;
  readonly #layers: Layer[];
  readonly #pageSize: number;
  #length = 0;

  constructor(machine: Machine, { numLayers, numKeyValueHeads, headDim }: CacheShape, format: CacheFormat) {
    for (const [field, count] of Object.entries({ numLayers, numKeyValueHeads, headDim })) {
      expectWhole('createCache', `shape.${field}`, count, 1, 2 ** 16);
    }
    this.#machine = machine;
    this.numLayers = numLayers;
    this.numKeyValueHeads = numKeyValueHeads;
    this.headDim = headDim;
    this.format = format;
    const chunkSize = machine.kernels.chunkSizeInBytes(cacheFormats[format], headDim);
    this.#pageSize = chunksPerPage * numKeyValueHeads * chunkSize;
    this.#layers = Array.from({ length: numLayers }, () => ({ pages: [], table: 0, tableSize: 0, appended: 0 }));
  }

  get length(): number {
    return this.#length;
  }

  get sizeInBytes(): number {
    let pages = 0;
    for (const layer of this.#layers) pages += layer.pages.length;
    return pages * this.#pageSize;
  }

  /** Makes room for `numTokens` positions behind the committed ones and counts them as appended. */
  append(layer: number, numTokens: number): { table: number; start: number } {
    const one = this.layer('appendToCache', layer);
    const end = this.#length + numTokens;
    expectWhole('appendToCache', 'positions', end, 0, positionLimit);
    while (one.pages.length * positionsPerPage < end) this.#addPage(one);
    one.appended = numTokens;
    return { table: one.table, start: this.#length };
  }

  /** The pages of a layer and how many positions they hold, those not yet committed included. */
  stored(functionName: string, layer: number): { table: number; length: number; start: number } {
    const one = this.layer(functionName, layer);
    return { table: one.table, length: this.#length + one.appended, start: this.#length };
  }

  layer(functionName: string, layer: number): Layer {
    expectWhole(functionName, 'layer', layer, 0, this.numLayers - 1);
    return this.#layers[layer]!;
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

  /** Forgets the positions from `length` on. Pages that hold nothing any more are given back. */
  truncate(length: number): void {
    expectWhole('truncateCache', 'length', length, 0, this.#length);
    this.#length = length;
    const needed = Math.ceil(length / positionsPerPage);
    for (const layer of this.#layers) {
      layer.appended = 0;
      for (const page of layer.pages.splice(needed)) this.#machine.heap.free(page);
    }
  }

  free(): void {
    const { heap } = this.#machine;
    for (const layer of this.#layers) {
      for (const page of layer.pages.splice(0)) heap.free(page);
      if (layer.tableSize > 0) heap.free(layer.table);
      layer.tableSize = 0;
    }
  }

  #addPage(layer: Layer): void {
    const { heap } = this.#machine;
    if (layer.pages.length === layer.tableSize) {
      const size = Math.max(16, 2 * layer.tableSize);
      const table = heap.allocate(4 * size);
      const { ints } = this.#machine;
      for (let i = 0; i < layer.pages.length; i++) ints[table / 4 + i] = layer.pages[i]!;
      if (layer.tableSize > 0) heap.free(layer.table);
      layer.table = table;
      layer.tableSize = size;
    }
    const page = heap.allocate(this.#pageSize);
    // What lay there before may be read as values of positions that do not exist: times a weight of 0, but NaN stays NaN.
    this.#machine.bytes.fill(0, page, page + this.#pageSize);
    this.#machine.ints[layer.table / 4 + layer.pages.length] = page;
    layer.pages.push(page);
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
