import { expect, it } from 'vitest';
import { createGpuBackend } from '../../src/index.ts';

// Chromium started without the flag that gives WebGPU an adapter.

it('PF-09 WebGPU cannot be insisted on, and the error says why', async () => {
  await expect(createGpuBackend({ mode: 'webgpu' })).rejects.toThrow(/^GPU_MODE_UNAVAILABLE.*(adapter|WebGPU)/);
});

it('auto takes WebGL2 and says why not WebGPU', async () => {
  const backend = await createGpuBackend();
  expect(backend.mode).toBe('webgl2');
  expect(backend.report().notes[0]).toMatch(/^Not webgpu: GPU_MODE_UNAVAILABLE/);
  await backend.dispose();
});
