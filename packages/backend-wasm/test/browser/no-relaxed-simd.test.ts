import { testBackend } from '@phiblocks/backend-conformance';
import { expect, it, vi } from 'vitest';
import { createWasmBackend, type WasmBackend } from '../../dist/index.js';

// A browser without relaxed SIMD. Chromium has lost the flag that took it away, so its validation is asked to refuse the
// module that has it, which is all that the backend goes by.

async function withoutRelaxedSimd<Result>(run: () => Promise<Result>): Promise<Result> {
  const validate = vi.spyOn(WebAssembly, 'validate').mockReturnValueOnce(false);
  try {
    return await run();
  } finally {
    validate.mockRestore();
  }
}

it('plain SIMD runs, and the report says why; relaxed SIMD cannot be insisted on', async () => {
  const backend = await withoutRelaxedSimd(() => createWasmBackend({ threads: 2 }));
  expect(backend.report()).toMatchObject({ threads: 2, acceleration: 'simd' });
  expect(backend.report().notes.join(' ')).toMatch(/no relaxed SIMD/);
  await backend.dispose();
  await expect(withoutRelaxedSimd(() => createWasmBackend({ simd: 'relaxed' }))).rejects.toThrow(/^UNSUPPORTED/);
});

testBackend(
  'wasm in Chromium without relaxed SIMD',
  () => withoutRelaxedSimd(() => createWasmBackend({ threads: 2 })),
  { liveHandles: (backend: WasmBackend) => backend.liveHandles(), quantizesActivations: true },
);
