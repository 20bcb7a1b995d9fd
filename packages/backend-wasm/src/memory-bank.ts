import { Heap } from './heap.ts';
import type { KernelExports } from './kernels.ts';

/** `assembly/control.ts` keeps its records below. */
export const controlSize = 16 * 1024;
/** What each thread has to work with; attention over heads of 256 needs 100 KB. */
export const scratchSize = 128 * 1024;

/** One WebAssembly memory with its heap, and the kernels on it. A memory holds 4 GB, so a large model needs several. */
export class MemoryBank {
  readonly kernels: KernelExports;
  readonly heap: Heap;
  /** Where arguments of jobs are written, in units of 4 bytes. */
  readonly job: number;
  readonly #memory: WebAssembly.Memory;
  #bytes = new Uint8Array(0);
  #floats = new Float32Array(0);
  #ints = new Int32Array(0);

  constructor(memory: WebAssembly.Memory, kernels: KernelExports, threads: number, limitInBytes: number) {
    kernels.initialize(controlSize, scratchSize);
    this.#memory = memory;
    this.kernels = kernels;
    this.heap = new Heap(memory, controlSize + threads * scratchSize, limitInBytes);
    this.job = kernels.jobAddress() / 4;
  }

  // Views are made anew after every growth: those of an unshared memory would be detached, those of a shared one too short.

  get bytes(): Uint8Array {
    this.#refresh();
    return this.#bytes;
  }

  get floats(): Float32Array {
    this.#refresh();
    return this.#floats;
  }

  get ints(): Int32Array {
    this.#refresh();
    return this.#ints;
  }

  #refresh(): void {
    const { buffer } = this.#memory;
    if (this.#bytes.buffer === buffer) return;
    this.#bytes = new Uint8Array(buffer);
    this.#floats = new Float32Array(buffer);
    this.#ints = new Int32Array(buffer);
  }
}
