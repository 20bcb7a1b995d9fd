import { testBackend } from '@phiblocks/backend-conformance';
import { createWasmBackend, type WasmBackend } from '../src/index.ts';
import { createTestWorker as createWorker } from './test-worker.ts';

const liveHandles = (backend: WasmBackend) => backend.liveHandles();

testBackend('wasm, one thread, float32 activations', () => createWasmBackend({ threads: 1, activations: 'f32' }), {
  liveHandles,
});

testBackend('wasm, relaxed SIMD, two threads', () => createWasmBackend({ threads: 2, createWorker }), {
  liveHandles,
  quantizesActivations: true,
});

testBackend(
  'wasm, plain SIMD, three threads, float16 cache',
  () => createWasmBackend({ threads: 3, simd: 'simd', kvCache: 'f16', createWorker }),
  // Half a unit of 11 bits.
  { liveHandles, quantizesActivations: true, cacheError: 2 ** -12 },
);
