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

testBackend(
  'wasm, weights in a second memory, int8 cache',
  () => createWasmBackend({ threads: 2, memories: 2, kvCache: 'q8', createWorker }),
  // Half a step of 1/127 of the largest component of a head, which is at most 5 times a typical one.
  { liveHandles, quantizesActivations: true, cacheError: 5 / 254 },
);

testBackend(
  'wasm, without SIMD, one thread, float16 cache',
  () => createWasmBackend({ threads: 1, simd: 'none', kvCache: 'f16' }),
  { liveHandles, quantizesActivations: true, cacheError: 2 ** -12 },
);

testBackend(
  'wasm, without SIMD, two threads, float32 activations, int8 cache',
  () => createWasmBackend({ threads: 2, simd: 'none', activations: 'f32', kvCache: 'q8', createWorker }),
  { liveHandles, cacheError: 5 / 254 },
);
