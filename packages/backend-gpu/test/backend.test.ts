import { describe, expect, it } from 'vitest';
import { importGpuJs } from '../src/gpu-js.ts';
import { createGpuBackend } from '../src/index.ts';

describe('createGpuBackend in Node', () => {
  it('auto takes webasm, and says why not the others', async () => {
    const backend = await createGpuBackend();
    expect(backend.mode).toBe('webasm');
    const { notes } = backend.report();
    expect(notes[0]).toMatch(/^Not webgpu: GPU_MODE_UNAVAILABLE/);
    expect(notes[1]).toMatch(/^Not webgl2: GPU_MODE_UNAVAILABLE.*no browser/);
    await backend.dispose();
    expect(() => backend.upload({ data: new Float32Array(1), shape: [1] })).toThrow(/^HANDLE_INVALID/);
  });

  it.each(['webgpu', 'webgl2'] as const)('%s cannot be insisted on', async (mode) => {
    await expect(createGpuBackend({ mode })).rejects.toThrow(/^GPU_MODE_UNAVAILABLE/);
  });

  it('without gpu.js the error says what to install', async () => {
    const missing = () => Promise.reject(new Error('Cannot find package'));
    await expect(importGpuJs(missing)).rejects.toThrow(/^GPU_PACKAGE_MISSING.*npm install gpu\.js/s);
    await expect(importGpuJs(async () => ({ GPU: class {} }))).rejects.toThrow(/^GPU_PACKAGE_MISSING.*2\.24/s);
  });

  it('rejects options it does not know and values it cannot use', async () => {
    await expect(createGpuBackend({ modes: 'auto' } as object)).rejects.toThrow(/^OPTION_UNKNOWN/);
    await expect(createGpuBackend({ mode: 'cpu' as 'webasm' })).rejects.toThrow(/^ARGUMENT.*mode/);
    await expect(createGpuBackend({ maxArrayLength: 3 })).rejects.toThrow(/^ARGUMENT.*maxArrayLength/);
  });

  it('a missing expert is a typed error when the result is read', async () => {
    const backend = await createGpuBackend({ mode: 'webasm' });
    const step = backend.beginStep();
    const x = step.upload({ data: Float32Array.of(1, 2), shape: [1, 2] });
    const floats = (data: Float32Array<ArrayBuffer>, shape: [number, number]) => ({
      format: 'F32' as const,
      shape,
      bytes: new Uint8Array(data.buffer),
      dequantizeRow: (row: number, out: Float32Array) => out.set(data.subarray(row * shape[1], (row + 1) * shape[1])),
    });
    const gate = backend.uploadWeight(floats(Float32Array.of(1, 0, 0, 1), [2, 2]));
    const routing = step.routeExperts(x, gate, { expertsPerToken: 1, jitterEpsilon: 0.01 });
    const result = step.runExperts(x, routing, [undefined, undefined]);
    await expect(backend.read(result)).rejects.toThrow(/^EXPERT_MISSING.*experts\[1\]/);
    // What failed stops everything behind it.
    expect(() => step.add(x, x)).toThrow(/^EXPERT_MISSING/);
    step.end();
    await backend.dispose();
  });

  it('the committed cache can be read, before and after recent positions are joined', async () => {
    const backend = await createGpuBackend({ mode: 'webasm' });
    const cache = backend.createCache({ numLayers: 1, numKeyValueHeads: 1, headDim: 2 });
    const step = backend.beginStep();
    const keys: number[] = [];
    const values: number[] = [];
    for (const tokens of [3, ...Array(130).fill(1), 2]) {
      const rows = Float32Array.from({ length: 2 * tokens }, (_, i) => keys.length + i);
      step.appendToCache(
        cache,
        0,
        step.upload({ data: rows, shape: [tokens, 2] }),
        step.upload({ data: rows.map((value) => -value), shape: [tokens, 2] }),
      );
      for (const value of rows) {
        keys.push(value);
        values.push(-value);
      }
      step.commit(cache, tokens);
    }
    const read = await backend.readCache!(cache, 0);
    expect(read.keys.shape).toEqual([135, 2]);
    expect([...read.keys.data]).toEqual(keys);
    expect([...read.values.data]).toEqual(values.map((value) => value || -0));
    backend.truncateCache(cache, 131);
    expect([...(await backend.readCache!(cache, 0)).keys.data]).toEqual(keys.slice(0, 262));
    step.end();
    await backend.dispose();
  });
});
