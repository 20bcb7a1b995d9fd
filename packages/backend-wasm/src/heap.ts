import { Phi3Error } from '@phiblocks/tensor';

/** Kernels load whole vectors: they may read this far behind the end of a buffer. */
const spareBytes = 64;
const alignment = 64;
const pageSize = 65536;
/** Memory grows by at least so much, because every growth makes new views. */
const leastGrowth = 4 * 1024 * 1024;

/**
 * Hands out pieces of one growing WebAssembly memory, first fit. Free pieces are kept in order of their address, and
 * neighbours are joined as soon as they are free, so that nothing is lost for good when models come and go.
 *
 * There are few pieces at a time (weights, pages of caches, results of one layer), so a list beats anything cleverer.
 */
export class Heap {
  readonly #memory: WebAssembly.Memory;
  readonly #mostPages: number;
  // Free pieces: starts[i] to ends[i], ascending, never touching each other.
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #sizes = new Map<number, number>();
  #end: number;

  /**
   * @param start - what lies below is not the heap's
   * @param limitInBytes - how far the memory may grow
   */
  constructor(memory: WebAssembly.Memory, start: number, limitInBytes = 2 ** 32) {
    this.#memory = memory;
    this.#mostPages = Math.floor(limitInBytes / pageSize);
    this.#end = memory.buffer.byteLength;
    const aligned = Math.ceil(start / alignment) * alignment;
    if (aligned < this.#end) {
      this.#starts.push(aligned);
      this.#ends.push(this.#end);
    }
  }

  /** How far the memory may grow. */
  get limitInBytes(): number {
    return this.#mostPages * pageSize;
  }

  /** Bytes handed out, with alignment and spare. */
  get usedInBytes(): number {
    let used = 0;
    for (const size of this.#sizes.values()) used += size;
    return used;
  }

  /**
   * @returns the address of `sizeInBytes` bytes, a multiple of 64; what lies there is left over from before
   * @throws Phi3Error `OOM`
   */
  allocate(sizeInBytes: number): number {
    const size = Math.ceil((sizeInBytes + spareBytes) / alignment) * alignment;
    let index = 0;
    while (index < this.#starts.length && this.#ends[index]! - this.#starts[index]! < size) index++;
    if (index === this.#starts.length) index = this.#grow(size);
    const start = this.#starts[index]!;
    if (this.#ends[index]! - start === size) {
      this.#starts.splice(index, 1);
      this.#ends.splice(index, 1);
    } else {
      this.#starts[index] = start + size;
    }
    this.#sizes.set(start, size);
    return start;
  }

  free(address: number): void {
    const size = this.#sizes.get(address);
    if (size === undefined) throw new RangeError(`nothing was allocated at ${address}`);
    this.#sizes.delete(address);
    this.#release(address, address + size);
  }

  /** @returns the index of a free piece of at least `size` bytes */
  #grow(size: number): number {
    const last = this.#starts.length - 1;
    const reachesEnd = last >= 0 && this.#ends[last] === this.#end;
    const missing = size - (reachesEnd ? this.#end - this.#starts[last]! : 0);
    const havePages = this.#end / pageSize;
    const neededPages = Math.ceil(missing / pageSize);
    let pages = Math.min(Math.max(neededPages, leastGrowth / pageSize), this.#mostPages - havePages);
    if (pages < neededPages)
      throw outOfMemory(
        size,
        `a memory holds ${(this.#mostPages * pageSize) / 2 ** 30} GB here; the option \`memories\` gives weights more than one`,
      );
    if (!this.#tryToGrow(pages)) {
      // Where memory is short, a phone may still give what is needed now.
      pages = neededPages;
      if (!this.#tryToGrow(pages)) throw outOfMemory(size, 'the engine gives no more memory');
    }
    const start = this.#end;
    this.#end += pages * pageSize;
    this.#release(start, this.#end);
    return this.#starts.length - 1;
  }

  #tryToGrow(pages: number): boolean {
    try {
      this.#memory.grow(pages);
      return true;
    } catch {
      return false;
    }
  }

  /** Adds a free piece and joins it with its neighbours. */
  #release(start: number, end: number): void {
    let index = 0;
    let high = this.#starts.length;
    while (index < high) {
      const middle = (index + high) >> 1;
      if (this.#starts[middle]! < start) index = middle + 1;
      else high = middle;
    }
    const joinsBefore = index > 0 && this.#ends[index - 1] === start;
    const joinsAfter = index < this.#starts.length && this.#starts[index] === end;
    if (joinsBefore && joinsAfter) {
      this.#ends[index - 1] = this.#ends[index]!;
      this.#starts.splice(index, 1);
      this.#ends.splice(index, 1);
    } else if (joinsBefore) {
      this.#ends[index - 1] = end;
    } else if (joinsAfter) {
      this.#starts[index] = start;
    } else {
      this.#starts.splice(index, 0, start);
      this.#ends.splice(index, 0, end);
    }
  }
}

function outOfMemory(size: number, reason: string): Phi3Error {
  return new Phi3Error({
    code: 'OOM',
    function: 'createWasmBackend',
    expected: `${size} more bytes`,
    hint: `${reason[0]!.toUpperCase()}${reason.slice(1)}`,
  });
}
