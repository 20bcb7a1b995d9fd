import { Phi3Error } from '@phiblocks/tensor';
import { kernelSources } from './generated/kernels.ts';
import type { DeviceResult, GpuJs, GpuJsInstance, GpuJsKernel } from './gpu-js.ts';
import {
  classOf,
  createCanvasStandIn,
  flatten,
  neverReuseArguments,
  patchShader,
  placeInBuffer,
  placeInTexture,
} from './gpu-js-workarounds.ts';

/** The modes of gpu.js that this backend runs in. Its `cpu` mode is none of them: the reference backend is better at that. */
export type GpuMode = 'webgpu' | 'webgl2' | 'webasm';

export type KernelName = keyof typeof kernelSources;

/** Numbers on the device, `rows` of `columns`. */
export interface DeviceArray {
  readonly columns: number;
  readonly rows: number;
  readonly sizeInBytes: number;
  /** What gpu.js takes as an argument. */
  readonly argument: unknown;
}

/** How often the device was used since the backend was created. */
export interface GpuCounters {
  /** Kernels that ran. */
  readonly launches: number;
  /** Arrays that were brought to the device, and their bytes. */
  readonly uploads: number;
  readonly uploadedBytes: number;
  /** Arrays that were brought back, and their bytes. */
  readonly readBacks: number;
  readonly readBackBytes: number;
  /** Bytes of all arrays that are on the device now. */
  readonly heldBytes: number;
}

/** Where arrays live: what differs between the modes. */
interface Store {
  readonly adapter: string;
  /** The most elements that one array may have. */
  readonly mostElements: number;
  place(data: Float32Array | Uint32Array, columns: number, rows: number): unknown;
  read(argument: unknown, columns: number, rows: number): Promise<Float32Array>;
  release(argument: unknown): void;
  /** Why nothing can run any more. */
  lost(): string | undefined;
  /** Behind a failure: waits for what the device still has to say. */
  settled(): Promise<unknown>;
  /** What the device complained about since it was last asked. */
  complaint(): string | undefined;
  /** Prepares a kernel before its first run. */
  prepare(kernel: GpuJsKernel): void;
  /** Where a kernel really ran. */
  modeOf(kernel: GpuJsKernel): string | undefined;
  /** What a kernel returned, as an argument. */
  adopt(result: unknown, columns: number, rows: number): unknown;
  close(): void;
}

/** One device in one mode of gpu.js: places arrays, launches kernels, reads arrays back, and counts. */
export class Device {
  readonly mode: GpuMode;
  readonly #gpu: GpuJsInstance;
  readonly #store: Store;
  readonly #kernels = new Map<string, { readonly run: GpuJsKernel; output: string }>();
  readonly #counters = { launches: 0, uploads: 0, uploadedBytes: 0, readBacks: 0, readBackBytes: 0, heldBytes: 0 };
  #mostElements: number;

  private constructor(mode: GpuMode, gpu: GpuJsInstance, store: Store, mostElements: number) {
    this.mode = mode;
    this.#gpu = gpu;
    this.#store = store;
    this.#mostElements = Math.min(store.mostElements, mostElements);
  }

  /**
   * Opens a device and runs a kernel on it, which is the only proof that a mode works.
   *
   * @param mostElements - a limit below the device's own
   * @throws Phi3Error `GPU_MODE_UNAVAILABLE` with the reason, `GPU_MODE_CHANGED`
   */
  static async open(gpuJs: GpuJs, mode: GpuMode, mostElements: number): Promise<Device> {
    const { gpu, store } = await stores[mode](gpuJs);
    const device = new Device(mode, gpu, store, mostElements);
    try {
      const proof = device.place(Float32Array.of(1, 2), 2, 1);
      const doubled = await device.launch('add', {}, 2, 1, [proof, proof]);
      const read = await device.read(doubled);
      if (read[0] !== 2 || read[1] !== 4) throw unavailable(mode, `a kernel that adds computed ${[...read]}`);
      device.release(proof);
      device.release(doubled);
      // In WebGL2 the proof was not yet made of textures, which is another kernel to gpu.js.
      device.#kernels.clear();
      device.resetCounters();
      return device;
    } catch (error) {
      await device.close();
      throw error;
    }
  }

  /** What is held stays counted. */
  resetCounters(): void {
    Object.assign(this.#counters, { launches: 0, uploads: 0, uploadedBytes: 0, readBacks: 0, readBackBytes: 0 });
  }

  get adapter(): string {
    return this.#store.adapter;
  }

  /** The most elements that one array may have. */
  get mostElements(): number {
    return this.#mostElements;
  }

  counters(): GpuCounters {
    return { ...this.#counters };
  }

  /**
   * Brings an array to the device, where it stays.
   *
   * @param columns - as kernels index it; words of 32 bits count as two rows of halves
   */
  place(data: Float32Array | Uint32Array, columns: number, rows: number): DeviceArray {
    this.#expectRoom(data.length);
    const argument = this.#store.place(data, columns, rows);
    this.#counters.uploads++;
    this.#counters.uploadedBytes += data.byteLength;
    return this.#held({ columns, rows, sizeInBytes: data.byteLength, argument });
  }

  /**
   * Runs a kernel. The result is a new array.
   *
   * @param constants - compiled into the kernel: a kernel of its own for each set of them
   * @throws Phi3Error `GPU_KERNEL_FAILED`, `GPU_MODE_CHANGED`, `GPU_DEVICE_LOST`, `GPU_LIMIT`
   */
  async launch(
    name: KernelName,
    constants: object,
    columns: number,
    rows: number,
    args: readonly (DeviceArray | number)[],
  ): Promise<DeviceArray> {
    this.#expectRoom(columns * rows);
    this.expectAlive(name);
    const kernel = this.#kernel(name, constants, [columns, 1, rows]);
    let result: unknown;
    try {
      result = await kernel(...args.map((arg) => (typeof arg === 'number' ? arg : arg.argument)));
    } catch (cause) {
      throw await this.#failed(name, 'to run the kernel', cause);
    }
    const ranIn = this.#store.modeOf(kernel);
    if (ranIn !== this.mode) {
      throw new Phi3Error({
        code: 'GPU_MODE_CHANGED',
        function: name,
        expected: `mode ${this.mode}`,
        got: `${ranIn}${kernel.kernel.fallbackReason ? `, because ${kernel.kernel.fallbackReason}` : ''}`,
      });
    }
    this.#counters.launches++;
    const argument = this.#store.adopt(result, columns, rows);
    return this.#held({ columns, rows, sizeInBytes: 4 * columns * rows, argument });
  }

  /** Brings an array back. */
  async read(array: DeviceArray): Promise<Float32Array> {
    this.expectAlive('read');
    let data: Float32Array;
    try {
      data = await this.#store.read(array.argument, array.columns, array.rows);
    } catch (cause) {
      throw await this.#failed('read', 'to read an array back', cause);
    }
    // A context that is lost in the middle answers with zeros.
    this.expectAlive('read');
    this.#counters.readBacks++;
    this.#counters.readBackBytes += data.byteLength;
    return data;
  }

  release(array: DeviceArray): void {
    this.#counters.heldBytes -= array.sizeInBytes;
    this.#store.release(array.argument);
  }

  /** @throws Phi3Error `GPU_DEVICE_LOST`, `GPU_KERNEL_FAILED` with what the device complained about */
  expectAlive(functionName: string): void {
    const reason = this.#store.lost();
    if (reason !== undefined) {
      throw new Phi3Error({
        code: 'GPU_DEVICE_LOST',
        function: functionName,
        expected: 'a device that works',
        got: reason,
        hint: 'Dispose of this backend and create another.',
      });
    }
    const complaint = this.#store.complaint();
    if (complaint === undefined) return;
    throw new Phi3Error({
      code: 'GPU_KERNEL_FAILED',
      function: functionName,
      expected: 'a device that runs what it is given',
      got: complaint,
    });
  }

  /** What a failure of gpu.js means. A device that is lost rejects what is under way before it says that it is lost. */
  async #failed(functionName: string, what: string, cause: unknown): Promise<Phi3Error> {
    await this.#store.settled();
    this.expectAlive(functionName);
    return new Phi3Error({
      code: 'GPU_KERNEL_FAILED',
      function: functionName,
      expected: `gpu.js ${what} in mode ${this.mode}`,
      got: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }

  async close(): Promise<void> {
    this.#kernels.clear();
    await this.#gpu.destroy();
    this.#store.close();
  }

  #held(array: DeviceArray): DeviceArray {
    this.#counters.heldBytes += array.sizeInBytes;
    return array;
  }

  #expectRoom(elements: number): void {
    if (elements <= this.#mostElements) return;
    throw new Phi3Error({
      code: 'GPU_LIMIT',
      function: 'Device',
      expected: `at most ${this.#mostElements} numbers in one array`,
      got: elements,
    });
  }

  #kernel(name: KernelName, constants: object, output: readonly number[]): GpuJsKernel {
    const key = `${name} ${JSON.stringify(constants)}`;
    const size = output.join(' ');
    const found = this.#kernels.get(key);
    if (found) {
      if (found.output !== size) found.run.setOutput(output);
      found.output = size;
      return found.run;
    }
    const run = this.#gpu.createKernel(kernelSources[name], {
      output,
      constants,
      pipeline: true,
      // Each run gets an array of its own, which lives until it is deleted.
      immutable: true,
      dynamicOutput: true,
      dynamicArguments: true,
      precision: 'single',
      // Otherwise small outputs are computed in less than float32.
      tactic: 'precision',
      // Division is not used for whole numbers.
      fixIntegerDivisionAccuracy: false,
      // Loops end by their own condition.
      loopMaxIterations: 2 ** 30,
    });
    this.#store.prepare(run);
    this.#kernels.set(key, { run, output: size });
    return run;
  }
}

function unavailable(mode: GpuMode, reason: string, cause?: unknown): Phi3Error {
  return new Phi3Error({
    code: 'GPU_MODE_UNAVAILABLE',
    function: 'createGpuBackend',
    argument: 'options.mode',
    expected: `a platform where gpu.js runs in mode ${mode}`,
    got: reason,
    cause,
  });
}

/** A browser tells of a loss within a turn or two of its event loop. */
const longestSilenceMs = 200;

const isResult = (value: unknown): value is DeviceResult =>
  typeof value === 'object' && value !== null && 'toArray' in value && 'delete' in value;

function expectResult(value: unknown): DeviceResult {
  if (isResult(value)) return value;
  throw new Phi3Error({
    code: 'GPU_KERNEL_FAILED',
    function: 'Device',
    expected: 'a result that stays on the device',
    got: typeof value,
  });
}

const stores: Record<GpuMode, (gpuJs: GpuJs) => Promise<{ gpu: GpuJsInstance; store: Store }>> = {
  async webgpu(gpuJs) {
    if (!gpuJs.GPU.isWebGPUSupported) throw unavailable('webgpu', 'no navigator.gpu: this engine has no WebGPU');
    const context = await gpuJs.WebGPUContext.acquire().catch((cause: unknown) => {
      throw unavailable('webgpu', cause instanceof Error ? cause.message : String(cause), cause);
    });
    const { adapter, device } = context;
    let lost: string | undefined;
    let complaint: string | undefined;
    void device.lost.then(({ message }) => {
      lost = message || 'the WebGPU device is gone';
    });
    const onError = (event: { error: { message: string } }): void => {
      complaint ??= event.error.message;
    };
    device.addEventListener('uncapturederror', onError);
    const gpu = new gpuJs.GPU({ mode: 'webgpu' });
    const { limits } = device;
    let reader: unknown;
    const store: Store = {
      adapter: [adapter.info?.vendor, adapter.info?.architecture, adapter.info?.description].filter(Boolean).join(' '),
      mostElements: Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize) / 4,
      place: (data, columns, rows) =>
        new gpuJs.WebGPUBufferResult({
          buffer: placeInBuffer(device, data),
          output: [columns, 1, rows],
          context,
          kernel: reader,
        }),
      read: async (argument, columns, rows) => flatten(await expectResult(argument).toArray(), columns, rows),
      release: (argument) => expectResult(argument).delete(),
      lost: () => lost,
      settled: () => Promise.race([device.lost, new Promise((resolve) => setTimeout(resolve, longestSilenceMs))]),
      complaint: () => complaint,
      prepare(kernel) {
        patchShader(kernel.kernel);
        reader ??= kernel.kernel; // what is placed is read through any kernel
      },
      modeOf: (kernel) => kernel.kernel.constructor.mode,
      adopt: (result) => expectResult(result),
      close: () => device.removeEventListener('uncapturederror', onError),
    };
    return { gpu, store };
  },

  async webgl2(gpuJs) {
    if (typeof OffscreenCanvas === 'undefined' && typeof document === 'undefined') {
      throw unavailable('webgl2', 'there is no canvas: this engine is no browser');
    }
    const canvas =
      typeof OffscreenCanvas === 'undefined' ? document.createElement('canvas') : new OffscreenCanvas(1, 1);
    const gl = canvas.getContext('webgl2', {
      alpha: false,
      depth: false,
      antialias: false,
    }) as WebGL2RenderingContext | null;
    if (!gl) throw unavailable('webgl2', 'the browser gives no WebGL2 context');
    if (!gl.getExtension('EXT_color_buffer_float')) {
      throw unavailable('webgl2', 'EXT_color_buffer_float is missing: kernels cannot write float32');
    }
    const gpu = new gpuJs.GPU({ context: gl, canvas: createCanvasStandIn() });
    const info = gl.getExtension('WEBGL_debug_renderer_info');
    const largestEdge: number = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    // What a kernel returned: its class and its kernel dress up what is placed. The first is the proof that `open` asks for.
    let model: { result: DeviceResult; kernel: unknown } | undefined;
    let prepared: GpuJsKernel | undefined;
    const store: Store = {
      adapter: String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER)),
      mostElements: largestEdge * largestEdge,
      place(data, columns, rows) {
        if (!(data instanceof Float32Array)) throw new TypeError('textures hold floats');
        if (!model) return gpuJs.input(data, [columns, 1, rows]);
        const { texture, size } = placeInTexture(gl, data);
        return new (classOf(model.result))({
          texture,
          size,
          dimensions: [columns, 1, rows],
          output: [columns, 1, rows],
          context: gl,
          kernel: model.kernel,
          internalFormat: gl.R32F,
          textureFormat: gl.RED,
        });
      },
      read: async (argument, columns, rows) => flatten(expectResult(argument).toArray(), columns, rows),
      release(argument) {
        if (isResult(argument)) argument.delete();
      },
      lost: () => (gl.isContextLost() ? 'the WebGL2 context is lost' : undefined),
      settled: async () => {},
      complaint: () => undefined,
      prepare(kernel) {
        neverReuseArguments(kernel.kernel);
        prepared = kernel;
      },
      modeOf({ kernel }) {
        // gpu.js calls all its modes on WebGL `gpu`; the context tells them apart.
        const { mode } = kernel.constructor;
        return mode === 'gpu' && kernel.context === gl ? 'webgl2' : mode;
      },
      adopt(result) {
        const adopted = expectResult(result);
        model ??= { result: adopted, kernel: prepared?.kernel };
        return adopted;
      },
      close: () => gl.getExtension('WEBGL_lose_context')?.loseContext(),
    };
    return { gpu, store };
  },

  async webasm(gpuJs) {
    if (!gpuJs.GPU.isWebAssemblySupported) throw unavailable('webasm', 'this engine has no WebAssembly');
    const gpu = new gpuJs.GPU({ mode: 'webasm' });
    const store: Store = {
      adapter: 'WebAssembly',
      mostElements: 2 ** 28,
      place(data, columns, rows) {
        if (!(data instanceof Float32Array)) throw new TypeError('this mode holds floats');
        return gpuJs.input(data, [columns, 1, rows]);
      },
      read: async (argument) => valuesOf(argument).slice(),
      release() {},
      lost: () => undefined,
      settled: async () => {},
      complaint: () => undefined,
      prepare() {},
      modeOf: (kernel) => kernel.kernel.constructor.mode,
      adopt: (result, columns, rows) => gpuJs.input(flatten(result, columns, rows), [columns, 1, rows]),
      close() {},
    };
    return { gpu, store };
  },
};

function valuesOf(argument: unknown): Float32Array {
  const values = typeof argument === 'object' && argument !== null && 'value' in argument ? argument.value : undefined;
  if (values instanceof Float32Array) return values;
  throw new TypeError('an input of gpu.js holds a Float32Array');
}
