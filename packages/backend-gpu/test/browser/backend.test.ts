import { createSeededRandom } from '@phiblocks/testing';
import { createWeightMatrix } from '@phiblocks/weights';
import { describe, expect, it } from 'vitest';
import { createGpuBackend, type GpuBackend } from '../../src/index.ts';

const inStep = async <Result>(
  backend: GpuBackend,
  run: (step: ReturnType<GpuBackend['beginStep']>) => Promise<Result>,
) => {
  const step = backend.beginStep();
  try {
    return await run(step);
  } finally {
    step.end();
  }
};

describe('createGpuBackend in a browser', () => {
  it('auto takes WebGPU where there is an adapter, and names it', async () => {
    const backend = await createGpuBackend();
    expect(backend.mode).toBe('webgpu');
    expect(backend.report()).toMatchObject({ backend: 'webgpu', threads: 1, fallbacks: {} });
    expect(backend.report().acceleration).toMatch(/swiftshader/i);
    await backend.dispose();
    await backend.dispose();
  });

  it.each(['webgl2', 'webgpu'] as const)('%s: names its adapter', async (mode) => {
    const backend = await createGpuBackend({ mode });
    expect(backend.report().acceleration).toMatch(/swiftshader/i);
    expect(backend.report().notes.join(' ')).toContain(`gpu.js runs in mode ${mode}`);
    await backend.dispose();
  });

  it.each(['webgl2', 'webgpu'] as const)('%s: packed weights stay packed on the device', async (mode) => {
    const backend = await createGpuBackend({ mode });
    const random = createSeededRandom(1);
    const bytes = Uint8Array.from({ length: (64 * 256 * 18) / 32 }, () => random.integer(128));
    const weight = backend.uploadWeight(createWeightMatrix('Q4_0', [64, 256], bytes));
    // Per weight 4 bits, or 6 words of 32 bits per 32 weights where words are floats; and 32 bits of scale per 32 weights.
    const bitsPerWeight = mode === 'webgpu' ? 5 : 7;
    expect(backend.counters().heldBytes).toBe((64 * 256 * bitsPerWeight) / 8);
    expect(backend.counters().uploads).toBe(2);
    backend.free(weight);
    await backend.dispose();
  });

  it.each(['webgl2', 'webgpu', 'webasm'] as const)(
    'PF-11 %s: what is larger than an array of the device is held in several, and gives the same numbers',
    async (mode) => {
      const random = createSeededRandom(2);
      const [rows, columns, tokens, heads, headDim] = [300, 64, 40, 4, 16];
      // Float16 scales between 2^-8 and 2^-7, at the start of each block.
      const bytes = Uint8Array.from({ length: (rows * columns * 34) / 32 }, (_, i) =>
        i % 34 === 1 ? 0x20 : random.integer(100),
      );
      const q8 = createWeightMatrix('Q8_0', [rows, columns], bytes);
      const floats = random.normals(rows * columns);
      const f32 = createWeightMatrix('F32', [rows, columns], new Uint8Array(floats.buffer));
      const x = { data: random.normals(tokens * columns), shape: [tokens, columns] };
      const bias = { data: random.normals(rows), shape: [rows] };
      const results: number[][] = [];
      // Both matrices have more than 5200 numbers in any mode, and so have the scores of 40 tokens, 4 heads and 40 keys.
      for (const maxArrayLength of [undefined, 5200]) {
        const backend = await createGpuBackend({ mode, maxArrayLength });
        const cache = backend.createCache({ numLayers: 1, numKeyValueHeads: heads, headDim });
        const handles = [q8, f32].map((matrix) => backend.uploadWeight(matrix));
        const numbers = await inStep(backend, async (step) => {
          const input = step.upload(x);
          const all = handles.flatMap((handle) => [
            step.linear(step.rows(input, 5, 3), handle, step.upload(bias)),
            step.embed(handle, Int32Array.of(299, 0, 150, 3)),
          ]);
          step.appendToCache(cache, 0, input, input);
          all.push(step.attention(input, cache, 0, { scale: 0.25 }));
          return Promise.all(all.map(async (handle) => [...(await backend.read(handle)).data]));
        });
        results.push(numbers.flat());
        await backend.dispose();
      }
      expect(results[1]).toEqual(results[0]);
    },
  );

  it.each(['webgl2', 'webgpu'] as const)('%s: one array too large is a typed error', async (mode) => {
    const backend = await createGpuBackend({ mode, maxArrayLength: 1024 });
    expect(() => backend.upload({ data: new Float32Array(2048), shape: [2, 1024] })).toThrow(/^GPU_LIMIT/);
    await backend.dispose();
  });

  it('PF-08 WebGL2: a lost context is a typed error, and another backend works', async () => {
    const getContext = OffscreenCanvas.prototype.getContext;
    let context: WebGL2RenderingContext | undefined;
    Reflect.set(OffscreenCanvas.prototype, 'getContext', function (this: OffscreenCanvas, ...args: unknown[]) {
      context = Reflect.apply(getContext, this, args) as WebGL2RenderingContext;
      return context;
    });
    const backend = await createGpuBackend({ mode: 'webgl2' });
    Reflect.set(OffscreenCanvas.prototype, 'getContext', getContext);
    const held = backend.upload({ data: Float32Array.of(1, 2), shape: [1, 2] });
    context!.getExtension('WEBGL_lose_context')!.loseContext();
    await expect(inStep(backend, (step) => backend.read(step.add(held, held)))).rejects.toThrow(/^GPU_DEVICE_LOST/);
    await expect(backend.read(held)).rejects.toThrow(/^GPU_DEVICE_LOST/);
    await backend.dispose();
    const next = await createGpuBackend({ mode: 'webgl2' });
    const { data } = await inStep(next, (step) =>
      next.read(step.multiply(step.upload({ data: Float32Array.of(1, 2), shape: [1, 2] }), 2)),
    );
    expect([...data]).toEqual([2, 4]);
    await next.dispose();
  });

  it('PF-10 WebGPU: a device that is lost while numbers come back is a typed error, whatever is rejected first', async () => {
    // The types of WebGPU are not in TypeScript's library of the DOM yet.
    const prototypeOf = (name: string): object => Reflect.get(globalThis, name).prototype;
    const [devices, buffers] = [prototypeOf('GPUDevice'), prototypeOf('GPUBuffer')];
    const createBuffer: (...args: unknown[]) => unknown = Reflect.get(devices, 'createBuffer');
    const mapAsync = Reflect.get(buffers, 'mapAsync');
    const backend = await createGpuBackend({ mode: 'webgpu' });
    let device: { destroy(): void } | undefined;
    Reflect.set(devices, 'createBuffer', function (this: { destroy(): void }, ...args: unknown[]) {
      device = this;
      return createBuffer.apply(this, args);
    });
    const held = backend.upload({ data: Float32Array.of(1, 2), shape: [1, 2] });
    try {
      Reflect.set(buffers, 'mapAsync', () => {
        device!.destroy();
        return Promise.reject(new DOMException('Buffer was unmapped before mapping was resolved.', 'AbortError'));
      });
      await expect(backend.read(held)).rejects.toThrow(/^GPU_DEVICE_LOST/);
    } finally {
      Reflect.set(buffers, 'mapAsync', mapAsync);
      Reflect.set(devices, 'createBuffer', createBuffer);
    }
    await backend.dispose();
    const next = await createGpuBackend({ mode: 'webgpu' });
    await next.dispose();
  });

  it('PF-12 WebGL2 without textures of float32 is refused, and says so', async () => {
    const getExtension = WebGL2RenderingContext.prototype.getExtension;
    Reflect.set(
      WebGL2RenderingContext.prototype,
      'getExtension',
      function (this: WebGL2RenderingContext, name: string) {
        return name === 'EXT_color_buffer_float' ? null : Reflect.apply(getExtension, this, [name]);
      },
    );
    try {
      const creating = createGpuBackend({ mode: 'webgl2' });
      await expect(creating).rejects.toThrow(/^GPU_MODE_UNAVAILABLE.*EXT_color_buffer_float is missing/);
    } finally {
      Reflect.set(WebGL2RenderingContext.prototype, 'getExtension', getExtension);
    }
  });

  it('PF-16 a device whose kernels compute something else is refused, and auto takes the next', async () => {
    const buffers: object = Reflect.get(globalThis, 'GPUBuffer').prototype;
    const getMappedRange: (...args: unknown[]) => ArrayBuffer = Reflect.get(buffers, 'getMappedRange');
    Reflect.set(buffers, 'getMappedRange', function (this: { usage: number }, ...args: unknown[]) {
      const range = getMappedRange.apply(this, args);
      if (this.usage & 1) new Float32Array(range).fill(7); // MAP_READ: what comes back
      return range;
    });
    try {
      const wrong = /a kernel that adds computed 7,7/;
      await expect(createGpuBackend({ mode: 'webgpu' })).rejects.toThrow(wrong);
      const backend = await createGpuBackend();
      expect(backend.mode).toBe('webgl2');
      expect(backend.report().notes[0]).toMatch(wrong);
      await backend.dispose();
    } finally {
      Reflect.set(buffers, 'getMappedRange', getMappedRange);
    }
  });
});
