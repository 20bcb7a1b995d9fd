import { testBackend } from '@phiblocks/backend-conformance';
import { describe } from 'vitest';
import { createGpuBackend, type GpuBackend } from '../../src/index.ts';

// A mode that cannot run, or that became another, makes `createGpuBackend` throw, which fails every test here.
describe.each(['webgl2', 'webgpu'] as const)('%s in Chromium', (mode) => {
  testBackend(`gpu.js in mode ${mode}`, () => createGpuBackend({ mode }), {
    liveHandles: (backend: GpuBackend) => backend.liveHandles(),
  });
});
