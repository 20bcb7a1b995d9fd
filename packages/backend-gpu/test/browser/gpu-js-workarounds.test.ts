import { afterAll, describe, expect, it } from 'vitest';
import { type GpuJsInstance, type GpuJsKernelInside, importGpuJs } from '../../src/gpu-js.ts';

// What gpu.js 2.24 cannot express or does badly, each the reason for a function in `src/gpu-js-workarounds.ts`. A test that
// fails here says that gpu.js has changed and that the function it names may go.

const gpuJs = await importGpuJs();
const opened: GpuJsInstance[] = [];
afterAll(() => Promise.all(opened.map((gpu) => gpu.destroy())));

const resident = {
  pipeline: true,
  immutable: true,
  dynamicOutput: true,
  dynamicArguments: true,
  precision: 'single',
  tactic: 'precision',
};

function open(settings: object): GpuJsInstance {
  const gpu = new gpuJs.GPU(settings);
  opened.push(gpu);
  return gpu;
}

function openWebGl2() {
  const gl = new OffscreenCanvas(1, 1).getContext('webgl2')!;
  const canvas = { width: 1, height: 1 };
  return { gpu: open({ context: gl, canvas }), gl, canvas };
}

const firstOf = (result: unknown): number =>
  ArrayBuffer.isView(result) || Array.isArray(result) ? firstOf((result as ArrayLike<unknown>)[0]) : Number(result);

async function rowsOf(result: unknown): Promise<number[][]> {
  const { toArray } = result as { toArray(): unknown };
  const nested = (await toArray.call(result)) as Float32Array[][];
  return nested.map(([row]) => [...row!]);
}

describe('WebGPU', () => {
  it('patchShader: arrays are always float32, and whole words of 32 bits cannot be read', async () => {
    const kernel = open({ mode: 'webgpu' }).createKernel('function first(packed) { return packed[this.thread.x]; }', {
      ...resident,
      output: [1],
    });
    await kernel(Float32Array.of(1));
    expect(shaderOf(kernel.kernel)).toContain('user_packed : array<f32>');
    const bits = open({ mode: 'webgpu' }).createKernel(
      'function bits(packed) { return (packed[this.thread.x] >> 16) & 65535; }',
      { output: [1] },
    );
    // The bits of this float are 0x3fc00000. gpu.js shifts the number 1 instead.
    expect(firstOf(await bits(Float32Array.of(1.5)))).not.toBe(0x3fc0);
  });

  it('patchShader: a single row of a three-dimensional output fills an eighth of each workgroup', async () => {
    const kernel = open({ mode: 'webgpu' }).createKernel('function one() { return 1; }', { output: [64, 1, 1] });
    await kernel();
    expect(kernel.kernel.workgroupSize).toEqual([8, 8, 1]);
  });

  it('placeInBuffer: an array argument goes to the device at every call', async () => {
    const kernel = open({ mode: 'webgpu' }).createKernel('function same(x) { return x[this.thread.x]; }', {
      ...resident,
      output: [4],
    });
    const argument = gpuJs.input(Float32Array.of(1, 2, 3, 4), [4]);
    await kernel(argument);
    const writeBuffer = Object.getOwnPropertyDescriptor(globalThis, 'GPUQueue')!.value.prototype;
    const original = writeBuffer.writeBuffer;
    let written = 0;
    writeBuffer.writeBuffer = function (...args: unknown[]) {
      written += args[2] instanceof Float32Array ? 1 : 0;
      return original.apply(this, args);
    };
    try {
      await kernel(argument);
      await kernel(argument);
    } finally {
      writeBuffer.writeBuffer = original;
    }
    expect(written).toBe(2);
  });
});

function shaderOf(kernel: GpuJsKernelInside): string {
  return String(Reflect.get(kernel, 'compiledSource'));
}

describe('WebGL2', () => {
  it('createCanvasStandIn: the canvas gets the size of the largest output, and again at every change', () => {
    const { gpu, canvas } = openWebGl2();
    const kernel = gpu.createKernel('function one() { return 1; }', { ...resident, output: [4096] });
    kernel();
    expect(canvas).toEqual({ width: 64, height: 64 });
    canvas.width = 1;
    kernel.setOutput([16]);
    expect(canvas.width).toBe(64);
  });

  it('neverReuseArguments: a kernel that is given its own result writes into a texture of another size later', async () => {
    const { gpu } = openWebGl2();
    const source =
      'function grow(x, y) { return x[this.thread.z][0][this.thread.x] + y[this.thread.z][0][this.thread.x]; }';
    const ones = gpu.createKernel('function ones() { return 1; }', { ...resident, output: [4, 1, 1] });
    const kernel = gpu.createKernel(source, { ...resident, output: [4, 1, 1] });
    const chain = async (rows: number): Promise<number[][]> => {
      ones.setOutput([4, 1, rows]);
      kernel.setOutput([4, 1, rows]);
      const one = ones();
      let sum = kernel(one, one);
      for (let i = 0; i < 3; i++) {
        const next = kernel(sum, one);
        (sum as { delete(): void }).delete();
        sum = next;
      }
      return rowsOf(sum);
    };
    expect(await chain(1)).toEqual([[5, 5, 5, 5]]);
    // Nine rows of fives are right. gpu.js takes up the texture of the chain before.
    expect(await chain(9)).not.toEqual(Array.from({ length: 9 }, () => [5, 5, 5, 5]));
  });

  it('placeInTexture: an array argument goes to the device at every call', () => {
    const { gpu, gl } = openWebGl2();
    const kernel = gpu.createKernel('function same(x) { return x[this.thread.x]; }', { ...resident, output: [4] });
    const argument = gpuJs.input(Float32Array.of(1, 2, 3, 4), [4]);
    kernel(argument);
    const original = gl.texImage2D;
    let uploads = 0;
    Reflect.set(gl, 'texImage2D', (...args: unknown[]) => {
      uploads += args.some((arg) => arg instanceof Float32Array) ? 1 : 0;
      return Reflect.apply(original, gl, args);
    });
    kernel(argument);
    kernel(argument);
    expect(uploads).toBe(2);
  });

  it('classOf: the class of a texture on the device is not exported', () => {
    const { gpu } = openWebGl2();
    const result = gpu.createKernel('function one() { return 1; }', { ...resident, output: [4, 1, 1] })();
    const exported = Object.values(gpuJs);
    expect(exported).not.toContain((result as object).constructor);
  });
});

describe('what kernels avoid', () => {
  it.each(['webgl2', 'webgpu'] as const)('%s: Infinity is the largest finite number', async (mode) => {
    const kernel = open({ mode }).createKernel('function limit() { return Infinity; }', {
      output: [1],
      precision: 'single',
    });
    expect(firstOf(await kernel())).toBeCloseTo(3.4028234663852886e38, -30);
  });

  it('WebGPU: a loop cannot count from a variable', async () => {
    const source = 'function sum(x, from) { let s = 0; for (let i = from; i < 4; i++) { s += x[i]; } return s; }';
    const kernel = open({ mode: 'webgpu' }).createKernel(source, { output: [1] });
    await expect(async () => kernel(Float32Array.of(1, 2, 3, 4), 1)).rejects.toThrow(/increment/);
  });

  it('WebGPU: two loops of a scope cannot share a counter', async () => {
    const source =
      'function sum(n) { let s = 0; for (let i = 0; i < n; i++) { s += 1; } for (let i = 0; i < n; i++) { s += 1; } return s; }';
    const kernel = open({ mode: 'webgpu' }).createKernel(source, { output: [1] });
    await expect(async () => kernel(2)).rejects.toThrow(/redeclaration/);
  });
});
