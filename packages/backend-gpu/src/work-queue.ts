import { Phi3Error } from '@phiblocks/tensor';
import type { Device, DeviceArray, KernelName } from './device.ts';

/** The place of an array that is computed when its turn comes. */
export interface Slot {
  readonly columns: number;
  readonly rows: number;
  array: DeviceArray | undefined;
}

type Task = () => void | Promise<void>;

/**
 * Work for a device, in order. gpu.js builds kernels asynchronously on WebGPU and operations of the contract return at once, so
 * an operation only writes down what is to be done. What fails stops everything behind it: the error comes out of the next
 * operation or read.
 */
export class WorkQueue {
  readonly #device: Device;
  #tasks: Task[] = [];
  #running: Promise<void> | undefined;
  #failure: unknown;
  #hasFailed = false;

  constructor(device: Device) {
    this.#device = device;
  }

  /** @throws what a task before threw */
  expectSound(): void {
    if (this.#hasFailed) throw this.#failure;
  }

  /** Does something when everything before it is done. */
  enqueue(task: Task): void {
    this.expectSound();
    this.#tasks.push(task);
    this.#running ??= this.#run();
  }

  /** Runs a kernel in its turn. An array without elements needs none. */
  launch(kernel: KernelName, constants: object, columns: number, rows: number, args: readonly (Slot | number)[]): Slot {
    const slot: Slot = { columns, rows, array: undefined };
    if (columns * rows === 0) return slot;
    this.enqueue(async () => {
      const ready = args.map((arg) => (typeof arg === 'number' ? arg : filled(arg)));
      slot.array = await this.#device.launch(kernel, constants, columns, rows, ready);
    });
    return slot;
  }

  /** Brings numbers to the device now: they are copied, and the caller may change them. */
  place(data: Float32Array | Uint32Array, columns: number, rows: number): Slot {
    this.expectSound();
    const array = data.length === 0 ? undefined : this.#device.place(data, columns, rows);
    return { columns, rows, array };
  }

  /** Gives an array back when the work that was written down before is done. */
  release(slot: Slot): void {
    // Without the check of `enqueue`: what failed must still be cleaned up.
    this.#tasks.push(() => {
      if (slot.array) this.#device.release(slot.array);
      slot.array = undefined;
    });
    this.#running ??= this.#run();
  }

  /** Brings an array back in its turn. */
  read(slot: Slot): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      if (this.#hasFailed) {
        reject(this.#failure);
        return;
      }
      this.#tasks.push(async () => {
        if (this.#hasFailed) {
          reject(this.#failure);
          return;
        }
        try {
          resolve(slot.columns * slot.rows === 0 ? new Float32Array(0) : await this.#device.read(filled(slot)));
        } catch (error) {
          reject(error);
        }
      });
      this.#running ??= this.#run();
    });
  }

  /** Settles when all work that is written down now is done, however it ends. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running;
  }

  async #run(): Promise<void> {
    // One turn of the event loop's jobs, so that a pass of many operations is written down before it starts.
    await Promise.resolve();
    while (this.#tasks.length > 0) {
      const tasks = this.#tasks;
      this.#tasks = [];
      for (const task of tasks) {
        try {
          const pending = task();
          if (pending) await pending;
        } catch (error) {
          if (!this.#hasFailed) this.#failure = error;
          this.#hasFailed = true;
        }
      }
    }
    this.#running = undefined;
  }
}

/** An array that a failed kernel did not make is no surprise: the failure was kept, this one is not shown. */
function filled(slot: Slot): DeviceArray {
  if (slot.array) return slot.array;
  throw new Phi3Error({
    code: 'GPU_KERNEL_FAILED',
    function: 'WorkQueue',
    expected: 'an array that was computed',
    got: 'nothing: the work before it failed',
  });
}
