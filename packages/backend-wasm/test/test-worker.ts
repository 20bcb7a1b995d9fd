import { Worker } from 'node:worker_threads';

/** The built worker: Node 20 runs no TypeScript in a thread. */
export function createTestWorker(): Worker {
  return new Worker(new URL('../dist/worker.js', import.meta.url));
}
