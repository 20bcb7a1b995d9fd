import { permuteElements, permuteRows, type WeightLoader } from '@phiblocks/runtime';
import {
  type Backend,
  type FloatTensor,
  Phi3Error,
  type TensorHandle,
  type WeightFormat,
  type WeightHandle,
  type WeightMatrix,
} from '@phiblocks/tensor';
import { createWeightMatrix, isWeightFormat, type WeightSource } from '@phiblocks/weights';

/** Stands for a matrix that is uploaded when it is needed. */
export class LazyMatrix implements WeightHandle {
  constructor(
    readonly key: string,
    readonly order: Int32Array | undefined,
    readonly format: WeightFormat,
    readonly shape: readonly [number, number],
  ) {}
}

/** Stands for a vector, or another small tensor, likewise. */
export class LazyVector implements TensorHandle {
  constructor(
    readonly key: string,
    readonly order: Int32Array | undefined,
    readonly shape: readonly number[],
  ) {}
}

export type LazyWeight = LazyMatrix | LazyVector;

/** Gives the runtime's own weight maps placeholders instead of weights, so that keys and orders are theirs and memory is ours. */
export function createLazyLoader(source: WeightSource): WeightLoader {
  const storedOf = (key: string) => {
    const stored = source.tensors.get(key);
    if (stored) return stored;
    throw new Phi3Error({ code: 'MODEL_TENSOR_MISSING', function: 'check', expected: key, where: { tensor: key } });
  };
  return {
    async matrix(key, order) {
      const { format, shape } = storedOf(key);
      if (!isWeightFormat(format)) {
        throw new Phi3Error({
          code: 'UNSUPPORTED',
          function: 'check',
          expected: 'a format that can be computed with',
          got: format,
          where: { tensor: key },
        });
      }
      const [rows = 1, ...rest] = shape;
      return new LazyMatrix(key, order, format, [rows, rest.reduce((product, size) => product * size, 1)]);
    },
    vector: async (key, order) => new LazyVector(key, order, storedOf(key).shape),
    floats: (key) => source.readFloats(key),
    free() {},
  };
}

/** Every placeholder inside a value, however deep it lies in objects and arrays. */
export function lazyWeightsIn(value: unknown): LazyWeight[] {
  if (value instanceof LazyMatrix || value instanceof LazyVector) return [value];
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return [];
  return Object.values(value).flatMap(lazyWeightsIn);
}

/** The weights of one stream on one backend: uploaded for the part that needs them, freed after it. */
export interface WeightStore {
  /** Uploads what is not there. */
  load(weights: readonly LazyWeight[]): Promise<void>;
  /** Frees everything, or what goes beyond the limit of bytes that may stay. */
  release(): void;
  free(): void;
  resolve<Handle extends WeightHandle | TensorHandle>(handle: Handle): Handle;
}

export interface WeightStoreOptions {
  /** Bytes of stored weights that may stay uploaded between parts. */
  readonly residentBytes: number;
  /** Changes a matrix on its way: another format, noise, a fault. */
  readonly transform: (key: string, matrix: WeightMatrix) => WeightMatrix;
  /** Reads the bytes of a tensor; a cache may stand behind it. */
  readonly readBytes: (key: string) => Promise<Uint8Array>;
}

export function createWeightStore(
  source: WeightSource,
  backend: Backend,
  { residentBytes, transform, readBytes }: WeightStoreOptions,
): WeightStore {
  const held = new Map<LazyWeight, { handle: WeightHandle | TensorHandle; sizeInBytes: number }>();
  let heldBytes = 0;

  async function upload(weight: LazyWeight): Promise<WeightHandle | TensorHandle> {
    if (weight instanceof LazyVector) {
      const tensor: FloatTensor = await source.readFloats(weight.key);
      return backend.upload(weight.order ? permuteElements(tensor, weight.order) : tensor);
    }
    const stored = createWeightMatrix(weight.format, weight.shape, await readBytes(weight.key));
    const matrix = transform(weight.key, stored);
    return backend.uploadWeight(weight.order ? permuteRows(matrix, weight.order) : matrix);
  }

  function free(): void {
    for (const { handle } of held.values()) backend.free(handle);
    held.clear();
    heldBytes = 0;
  }

  return {
    async load(weights) {
      for (const weight of weights) {
        if (held.has(weight)) continue;
        const sizeInBytes = source.tensors.get(weight.key)!.sizeInBytes;
        held.set(weight, { handle: await upload(weight), sizeInBytes });
        heldBytes += sizeInBytes;
      }
    },
    release() {
      if (heldBytes > residentBytes) free();
    },
    free,
    resolve(handle) {
      if (!(handle instanceof LazyMatrix || handle instanceof LazyVector)) return handle;
      const found = held.get(handle);
      if (!found) {
        throw new Phi3Error({
          code: 'INTERNAL',
          function: 'check',
          expected: 'a weight of the part that runs',
          where: { tensor: handle.key },
        });
      }
      return found.handle as typeof handle;
    },
  };
}
