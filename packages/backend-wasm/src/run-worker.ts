import { instantiateAll } from './instantiate-all.ts';
import type { WorkerStart } from './thread-pool.ts';

/**
 * Joins a backend's threads: instantiates the kernels on the shared memories and works until the backend is disposed of.
 *
 * @param start - what `createWasmBackend` sends
 * @param ready - called when the worker is about to wait for work
 */
export async function runWorker(start: WorkerStart, ready: () => void): Promise<void> {
  const { module, memories, thread, threads, generation, spins } = start;
  const [first] = await instantiateAll(module, memories);
  ready();
  first!.work(thread, threads, generation, spins);
}

/** True for a message that `createWasmBackend` sends. */
export function isWorkerStart(message: unknown): message is WorkerStart {
  return typeof message === 'object' && message !== null && 'phiblocksWasm' in message;
}
