import { testBackend } from '@phiblocks/backend-conformance';
import { createGpuBackend, type GpuBackend } from '../src/index.ts';

testBackend('gpu.js in mode webasm', () => createGpuBackend({ mode: 'webasm' }), {
  liveHandles: (backend: GpuBackend) => backend.liveHandles(),
});
