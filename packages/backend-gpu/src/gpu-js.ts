import { Phi3Error } from '@phiblocks/tensor';

// gpu.js as far as this package uses it. Its own types are left out on purpose: they would have to be installed by everybody
// who uses ours.

/** What a kernel of gpu.js returns with `pipeline`: numbers that stay on the device. In `webasm` there is no device. */
export interface DeviceResult {
  toArray(): unknown;
  delete(): void;
}

/** A kernel that can be called. `kernel` is what runs behind it, which gpu.js may swap. */
export interface GpuJsKernel {
  (...args: unknown[]): unknown;
  setOutput(output: readonly number[]): unknown;
  readonly kernel: GpuJsKernelInside;
}

/** The inside of a kernel. The named workarounds reach into it; see `gpu-js-workarounds.ts`. */
export interface GpuJsKernelInside {
  readonly constructor: { readonly mode?: string };
  readonly context?: unknown;
  readonly fallbackReason?: string | null;
  updateTextureArgumentRefs?: (value: unknown, argument: unknown) => void;
  assembleWGSL?: () => string;
  workgroupSize?: readonly number[];
  moduleCacheLimit?: number;
}

export interface GpuJsInstance {
  createKernel(source: string, settings: object): GpuJsKernel;
  destroy(): Promise<void>;
}

export interface GpuJs {
  readonly GPU: {
    new (settings: object): GpuJsInstance;
    readonly isWebGPUSupported: boolean;
    readonly isWebGL2Supported: boolean;
    readonly isWebAssemblySupported: boolean;
  };
  readonly WebGPUContext: { acquire(): Promise<{ adapter: GpuAdapterLike; device: GpuDeviceLike }> };
  readonly WebGPUBufferResult: new (settings: object) => DeviceResult;
  input(values: Float32Array, size: readonly number[]): unknown;
}

// WebGPU as far as this package uses it: its types are not in TypeScript's library of the DOM yet.

export interface GpuBufferLike {
  getMappedRange(): ArrayBuffer;
  unmap(): void;
}

export interface GpuDeviceLike {
  readonly limits: { readonly maxStorageBufferBindingSize: number; readonly maxBufferSize: number };
  readonly lost: Promise<{ readonly message: string }>;
  createBuffer(description: { size: number; usage: number; mappedAtCreation?: boolean }): GpuBufferLike;
  addEventListener(type: 'uncapturederror', listener: (event: { error: { message: string } }) => void): void;
  removeEventListener(type: 'uncapturederror', listener: (event: { error: { message: string } }) => void): void;
}

export interface GpuAdapterLike {
  readonly info?: { readonly vendor: string; readonly architecture: string; readonly description: string };
}

/**
 * gpu.js, imported when it is first wanted.
 *
 * @throws Phi3Error `GPU_PACKAGE_MISSING`
 */
export async function importGpuJs(load: () => Promise<unknown> = () => import('gpu.js')): Promise<GpuJs> {
  let module: unknown;
  try {
    module = await load();
  } catch (cause) {
    throw new Phi3Error({
      code: 'GPU_PACKAGE_MISSING',
      function: 'createGpuBackend',
      expected: 'the package gpu.js, which this backend runs on',
      hint: 'Install it beside this package: npm install gpu.js@^2.24.1',
      cause,
    });
  }
  // A bundler may hand a CommonJS package over as the default export.
  const candidates = [module, isObject(module) ? module.default : undefined];
  const found = candidates.find(isGpuJs);
  if (found) return found;
  throw new Phi3Error({
    code: 'GPU_PACKAGE_MISSING',
    function: 'createGpuBackend',
    expected: 'gpu.js 2.24.1 or a later 2.x, with GPU, input, WebGPUContext and WebGPUBufferResult',
    hint: 'Install it beside this package: npm install gpu.js@^2.24.1',
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isGpuJs(value: unknown): value is GpuJs {
  if (!isObject(value)) return false;
  return ['GPU', 'input', 'WebGPUContext', 'WebGPUBufferResult'].every((name) => typeof value[name] === 'function');
}
