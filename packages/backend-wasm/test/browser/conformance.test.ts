import { testBackend } from '@phiblocks/backend-conformance';
import { expect, it } from 'vitest';
import { createWasmBackend, type WasmBackend } from '../../dist/index.js';

// What was built, as a page loads it: with headers that isolate the page, so that threads can share memory.

const liveHandles = (backend: WasmBackend) => backend.liveHandles();

it('the page is isolated, and two threads with relaxed SIMD run', async () => {
  expect(crossOriginIsolated).toBe(true);
  const backend = await createWasmBackend({ threads: 2 });
  expect(backend.report()).toMatchObject({ threads: 2, acceleration: 'relaxed-simd' });
  await backend.dispose();
});

testBackend('wasm in Chromium, two threads', () => createWasmBackend({ threads: 2 }), {
  liveHandles,
  quantizesActivations: true,
});
