import type { BackendReport } from '@phiblocks/tensor';
import { availableParallelism, mayBlock } from './host.ts';
import { instantiateAll } from './instantiate-all.ts';
import { compileKernels, type Simd } from './kernels.ts';
import { controlSize, MemoryBank, scratchSize } from './memory-bank.ts';
import { type MemoryPlan, planMemories } from './memory-plan.ts';
import { type Operation, operations } from './operations.ts';
import { type CreateWorker, ThreadPool, workerLost } from './thread-pool.ts';

/** Below so many elementary steps the main thread is done before a worker has woken up. */
const leastSharedWork = 30_000;
/** How often a waiting thread looks before it sleeps: some 100 µs, longer than the pause between two shared operations. */
const spins = 200_000;
/** A waiting thread looks after the workers so often. */
const lookMs = 50;
/** Workers whose counts of finished pieces stand still for so long are lost: a piece takes milliseconds. */
const lostAfterMs = 10_000;
const pageSize = 65536;

export interface MachineOptions {
  readonly threads: number | undefined;
  readonly simd: 'auto' | Simd;
  /** How many, or what they must hold. */
  readonly memories: number | MemoryPlan;
  /** The most that each may hold. */
  readonly memorySizeInBytes: number;
  readonly createWorker: CreateWorker;
}

/** WebAssembly memories, the kernels on them, and the threads that run these. */
export class Machine {
  /** The first holds everything but weights that found no room in it. */
  readonly banks: readonly MemoryBank[];
  readonly simd: Simd;
  readonly threads: number;
  readonly notes: readonly string[];
  readonly #pool = new ThreadPool();
  readonly #mayBlock: number;
  readonly #float = new Float32Array(1);
  readonly #floatBits = new Int32Array(this.#float.buffer);

  static async create(options: MachineOptions): Promise<Machine> {
    const { threads: wanted, simd, memorySizeInBytes, createWorker } = options;
    const notes: string[] = [];
    let threads = wanted ?? Math.min(availableParallelism(), 8);
    if (threads > 1 && typeof SharedArrayBuffer === 'undefined') {
      const reason = 'the page is not cross-origin isolated or the engine has no SharedArrayBuffer';
      notes.push(`One thread instead of ${threads}: ${reason}.`);
      threads = 1;
    }
    const shared = threads > 1;
    const compiled = await compileKernels(simd, shared);
    const initial = Math.ceil((controlSize + threads * scratchSize) / pageSize) + 1;
    const maximum = Math.floor(memorySizeInBytes / pageSize);
    const createMemory = () => new WebAssembly.Memory({ initial, maximum, shared });
    const all = [createMemory()];
    const { memories, note } = await howManyMemories(compiled.module, options, all[0]!);
    if (note) notes.push(note);
    while (all.length < memories) all.push(createMemory());
    const kernels = await instantiateAll(compiled.module, all);
    const banks = all.map((memory, index) => new MemoryBank(memory, kernels[index]!, threads, maximum * pageSize));
    const machine = new Machine(banks, compiled.simd, threads, [...compiled.notes, ...notes]);
    await machine.#pool.start(createWorker, {
      phiblocksWasm: true,
      module: compiled.module,
      memories: all,
      threads,
      generation: kernels[0]!.generation(),
      spins,
    });
    return machine;
  }

  private constructor(banks: readonly MemoryBank[], simd: Simd, threads: number, notes: readonly string[]) {
    this.banks = banks;
    this.simd = simd;
    this.threads = threads;
    this.notes = notes;
    this.#mayBlock = threads > 1 && mayBlock() ? 1 : 0;
  }

  report(): Pick<BackendReport, 'threads' | 'acceleration' | 'notes'> {
    const lost = this.#pool.lost;
    return {
      threads: this.threads,
      acceleration: this.simd === 'relaxed' ? 'relaxed-simd' : this.simd,
      notes: lost === undefined ? this.notes : [...this.notes, `Out of order: ${lost}.`],
    };
  }

  // The first memory, in which nearly everything happens.

  get kernels() {
    return this.banks[0]!.kernels;
  }

  get heap() {
    return this.banks[0]!.heap;
  }

  get bytes(): Uint8Array {
    return this.banks[0]!.bytes;
  }

  get floats(): Float32Array {
    return this.banks[0]!.floats;
  }

  get ints(): Int32Array {
    return this.banks[0]!.ints;
  }

  /**
   * Runs a job on all threads, or on this one alone when it is small, and returns when it is done.
   *
   * @param work - roughly how many elementary steps it takes
   * @param values - arguments as whole numbers (see {@link bitsOf} for floats)
   * @param bank - the memory in which all its addresses lie
   * @throws Phi3Error `WORKER_LOST`
   */
  run(operation: Operation, work: number, values: readonly number[], bank = 0): void {
    if (this.#pool.lost !== undefined) throw workerLost(operation, this.#pool.lost);
    const { ints, job, kernels } = this.banks[bank]!;
    ints[job] = operations[operation];
    for (let i = 0; i < values.length; i++) ints[job + 1 + i] = values[i]!;
    if (this.threads === 1 || work < leastSharedWork) {
      kernels.runJob(0, 1);
      return;
    }
    const first = this.banks[0]!;
    if (bank > 0) {
      first.ints[first.job] = operations.elsewhere;
      first.ints[first.job + 1] = bank;
    }
    first.kernels.announce();
    kernels.runJob(0, this.threads);
    if (first.kernels.awaitWorkers(this.threads - 1, spins, this.#mayBlock, lookMs) === 0)
      this.#awaitSlowWorkers(operation);
  }

  /** The bits of a float32 as a whole number: how a float is an argument of a job. */
  bitsOf(value: number): number {
    this.#float[0] = value;
    return this.#floatBits[0]!;
  }

  /** Waits on, and gives up when a worker has ended or none makes progress. */
  #awaitSlowWorkers(operation: Operation): void {
    let progress = this.#progress();
    let waitedMs = 0;
    let since = performance.now();
    do {
      this.#pool.findEnded();
      const now = performance.now();
      // A machine that was suspended lets hours pass between two looks, in which nobody could work.
      waitedMs += Math.min(now - since, 2 * lookMs);
      since = now;
      const progressed = this.#progress();
      if (progressed !== progress) waitedMs = 0;
      progress = progressed;
      if (waitedMs > lostAfterMs) this.#pool.markLost('a worker stopped answering');
      if (this.#pool.lost !== undefined) throw workerLost(operation, this.#pool.lost);
    } while (this.kernels.awaitWorkers(this.threads - 1, spins, this.#mayBlock, lookMs) === 0);
  }

  #progress(): number {
    let sum = 0;
    for (const { kernels } of this.banks) {
      for (let thread = 1; thread < this.threads; thread++) sum += kernels.progressOf(thread);
    }
    return sum;
  }

  async close(): Promise<void> {
    if (this.threads > 1) {
      this.ints[this.banks[0]!.job] = operations.stop;
      this.kernels.announce();
    }
    await this.#pool.close();
  }
}

/** The kernels say how large weights are in their layouts, so they are asked, on the first memory. */
async function howManyMemories(
  module: WebAssembly.Module,
  { memories, memorySizeInBytes }: MachineOptions,
  memory: WebAssembly.Memory,
): Promise<{ memories: number; note?: string }> {
  if (typeof memories === 'number') {
    return memories === 1 ? { memories } : { memories, note: `Weights lie in ${memories} memories.` };
  }
  const [kernels] = await instantiateAll(module, [memory]);
  const planned = planMemories(memories, memorySizeInBytes, kernels!);
  if (planned.memories === 1) return { memories: 1 };
  const gigabytes = (planned.weightsInBytes / 1e9).toPrecision(3);
  return {
    memories: planned.memories,
    note: `Weights lie in ${planned.memories} memories, chosen for the ${gigabytes} GB that they take.`,
  };
}
