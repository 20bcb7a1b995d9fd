import type { KernelExports } from './kernels.ts';
import type { WorkerStart } from './thread-pool.ts';

/**
 * Joins a backend's threads: instantiates the kernels on the shared memory and works until the backend is disposed of.
 *
 * @param start - what `createWasmBackend` sends
 * @param ready - called when the worker is about to wait for work
 */
export async function runWorker(start: WorkerStart, ready: () => void): Promise<void> {
  const { module, memory, thread, threads, generation, spins } = start;
  const instance = await WebAssembly.instantiate(module, { env: { memory } });
  ready();
  (instance.exports as object as KernelExports).work(thread, threads, generation, spins);
}

/** True for a message that `createWasmBackend` sends. */
export function isWorkerStart(message: unknown): message is WorkerStart {
  return typeof message === 'object' && message !== null && 'phiblocksWasm' in message;
}
