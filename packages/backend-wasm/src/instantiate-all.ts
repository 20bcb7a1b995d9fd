import type { KernelExports } from './kernels.ts';

/**
 * Instantiates the kernels on every memory. A job in the first memory may send a thread to a job in another: that is how
 * threads that wait in one memory come to work in all of them.
 */
export async function instantiateAll(
  module: WebAssembly.Module,
  memories: readonly WebAssembly.Memory[],
): Promise<KernelExports[]> {
  const all: KernelExports[] = [];
  const runElsewhere = (bank: number, thread: number, threads: number): void => all[bank]!.runJob(thread, threads);
  for (const memory of memories) {
    const instance = await WebAssembly.instantiate(module, { env: { memory, runElsewhere } });
    all.push(instance.exports as object as KernelExports);
  }
  return all;
}
