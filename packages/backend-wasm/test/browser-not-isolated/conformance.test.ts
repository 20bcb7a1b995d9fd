import { testBackend } from '@phiblocks/backend-conformance';
import { expect, it } from 'vitest';
import { createWasmBackend, type WasmBackend } from '../../dist/index.js';

// A host that cannot set the isolation headers: no shared memory, hence one thread, and the report says why.

it('PF-01 two threads become one, and the report says why', async () => {
  expect(crossOriginIsolated).toBe(false);
  const backend = await createWasmBackend({ threads: 2 });
  expect(backend.report().threads).toBe(1);
  expect(backend.report().notes[0]).toMatch(/^One thread instead of 2: .*cross-origin isolated/);
  await backend.dispose();
});

testBackend('wasm in Chromium, not isolated', () => createWasmBackend({ threads: 2 }), {
  liveHandles: (backend: WasmBackend) => backend.liveHandles(),
  quantizesActivations: true,
});
