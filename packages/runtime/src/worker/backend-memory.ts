import type { Backend } from '@phiblocks/tensor';

interface TellsUsedMemory {
  usedMemoryInBytes(): number;
}

interface TellsHeldBytes {
  counters(): { readonly heldBytes: number };
}

interface TellsMemory {
  memory(): { readonly weightsInBytes: number; readonly cachesInBytes: number; readonly temporariesInBytes: number };
}

const has = <Teller>(backend: Backend, method: keyof Teller & string): backend is Backend & Teller =>
  typeof Reflect.get(backend, method) === 'function';

/** Bytes that a backend says it holds; undefined for one that does not tell. */
export function backendMemoryInBytes(backend: Backend): number | undefined {
  if (has<TellsUsedMemory>(backend, 'usedMemoryInBytes')) return backend.usedMemoryInBytes();
  if (has<TellsHeldBytes>(backend, 'counters')) return backend.counters().heldBytes;
  if (has<TellsMemory>(backend, 'memory')) {
    const { weightsInBytes, cachesInBytes, temporariesInBytes } = backend.memory();
    return weightsInBytes + cachesInBytes + temporariesInBytes;
  }
  return undefined;
}
