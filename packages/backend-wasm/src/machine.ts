import type { BackendReport } from '@phiblocks/tensor';
import { Heap } from './heap.ts';
import { availableParallelism, mayBlock } from './host.ts';
import { compileKernels, type KernelExports, type Simd } from './kernels.ts';
import { type Operation, operations } from './operations.ts';
import { type CreateWorker, ThreadPool, workerLost } from './thread-pool.ts';

/** Below so many elementary steps the main thread is done before a worker has woken up. */
const leastSharedWork = 30_000;
/** How often a waiting thread looks before it sleeps: about 50 µs, longer than the pause between two operations. */
const spins = 50_000;
/** A worker whose count of finished pieces stands still for so long is lost: a piece takes milliseconds. */
const lostAfterMs = 10_000;
/** Attention over heads of 256 needs 100 KB. */
const scratchSize = 128 * 1024;
/** `assembly/control.ts` keeps its records below. */
const controlSize = 16 * 1024;
const mostThreads = 32;

export interface MachineOptions {
  readonly threads: number | undefined;
  readonly simd: 'auto' | Simd;
  readonly createWorker: CreateWorker;
}

/** One WebAssembly memory, the kernels on it, and the threads that run them. */
export class Machine {
  readonly heap: Heap;
  readonly kernels: KernelExports;
  readonly simd: Simd;
  readonly threads: number;
  readonly notes: readonly string[];
  readonly scratchSizeInBytes = scratchSize;
  readonly #memory: WebAssembly.Memory;
  readonly #pool = new ThreadPool();
  readonly #mayBlock: number;
  readonly #job: number;
  #bytes = new Uint8Array(0);
  #floats = new Float32Array(0);
  #ints = new Int32Array(0);

  static async create({ threads: wanted, simd, createWorker }: MachineOptions): Promise<Machine> {
    const notes: string[] = [];
    const shared = canShare();
    let threads = wanted ?? Math.min(availableParallelism(), 8);
    if (!shared && threads > 1) {
      const isolated = 'the page is not cross-origin isolated or the engine has no SharedArrayBuffer';
      notes.push(`One thread instead of ${threads}: ${isolated}.`);
      threads = 1;
    }
    threads = Math.min(threads, mostThreads);
    const isShared = threads > 1;
    const kernels = await compileKernels(simd, isShared);
    const memory = new WebAssembly.Memory({
      initial: Math.ceil((controlSize + threads * scratchSize) / 65536) + 1,
      maximum: 65536,
      shared: isShared,
    });
    const instance = await WebAssembly.instantiate(kernels.module, { env: { memory } });
    const exports = instance.exports as object as KernelExports;
    exports.initialize(controlSize, scratchSize);
    const machine = new Machine(memory, exports, kernels.simd, threads, [...kernels.notes, ...notes]);
    await machine.#pool.start(createWorker, {
      phiblocksWasm: true,
      module: kernels.module,
      memory,
      threads,
      generation: exports.generation(),
      spins,
    });
    return machine;
  }

  private constructor(
    memory: WebAssembly.Memory,
    kernels: KernelExports,
    simd: Simd,
    threads: number,
    notes: readonly string[],
  ) {
    this.#memory = memory;
    this.kernels = kernels;
    this.simd = simd;
    this.threads = threads;
    this.notes = notes;
    this.heap = new Heap(memory, controlSize + threads * scratchSize);
    this.#job = kernels.jobAddress() / 4;
    this.#mayBlock = threads > 1 && mayBlock() ? 1 : 0;
  }

  report(): Pick<BackendReport, 'threads' | 'acceleration' | 'notes'> {
    const lost = this.#pool.lost;
    return {
      threads: this.threads,
      acceleration: this.simd === 'relaxed' ? 'relaxed-simd' : 'simd',
      notes: lost === undefined ? this.notes : [...this.notes, `Out of order: ${lost}.`],
    };
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

  /**
   * Runs a job on all threads, or on this one alone when it is small, and returns when it is done.
   *
   * @param work - roughly how many elementary steps it takes
   * @param values - arguments as whole numbers (see `bitsOf` for floats)
   * @throws Phi3Error `WORKER_LOST`
   */
  run(operation: Operation, work: number, values: readonly number[]): void {
    if (this.#pool.lost !== undefined) throw workerLost(operation, this.#pool.lost);
    const ints = this.ints;
    const job = this.#job;
    ints[job] = operations[operation];
    for (let i = 0; i < values.length; i++) ints[job + 1 + i] = values[i]!;
    if (this.threads === 1 || work < leastSharedWork) {
      this.kernels.runJob(0, 1);
      return;
    }
    this.kernels.announce();
    this.kernels.runJob(0, this.threads);
    if (this.kernels.awaitWorkers(this.threads - 1, spins, this.#mayBlock, 50) === 0) this.#awaitSlowWorkers(operation);
  }

  /** Waits on, and gives up when no worker makes progress. */
  #awaitSlowWorkers(operation: Operation): void {
    let progress = this.#progress();
    let since = performance.now();
    while (this.kernels.awaitWorkers(this.threads - 1, spins, this.#mayBlock, 50) === 0) {
      const now = this.#progress();
      if (now !== progress) {
        progress = now;
        since = performance.now();
      } else if (performance.now() - since > lostAfterMs) {
        this.#pool.markLost('a worker stopped answering');
        throw workerLost(operation, 'a worker stopped answering');
      }
    }
  }

  #progress(): number {
    let sum = 0;
    for (let thread = 1; thread < this.threads; thread++) sum += this.kernels.progressOf(thread);
    return sum;
  }

  async close(): Promise<void> {
    if (this.threads > 1) {
      this.ints[this.#job] = operations.stop;
      this.kernels.announce();
    }
    await this.#pool.close();
  }
}

function canShare(): boolean {
  return typeof SharedArrayBuffer !== 'undefined';
}

/** The bits of a float32 as a whole number: how a float is an argument of a job. */
export function bitsOf(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  return view.getInt32(0);
}
