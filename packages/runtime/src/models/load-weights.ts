import {
  type Backend,
  type FloatTensor,
  Phi3Error,
  type TensorHandle,
  type WeightHandle,
  type WeightMatrix,
} from '@phiblocks/tensor';
import { createWeightMatrix, isWeightFormat, type WeightSource } from '@phiblocks/weights';
import { permuteElements, permuteRows } from './permute-rows.ts';

/** How far loading has come, told after each tensor. */
export interface LoadProgress {
  /** Key of the tensor just loaded, as the checkpoint spells it. */
  readonly tensor: string;
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

export interface LoadOptions {
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The tensors that a model wants, by checkpoint key, with the shapes its configuration implies. */
export type TensorPlan = ReadonlyMap<string, readonly number[]>;

/** Hands out the tensors of a checkpoint as handles of a backend. */
export interface WeightLoader {
  /** A matrix, a kernel of more dimensions as `[out, the rest]`; with `order`, its rows in that order (`permuteRows`). */
  matrix(key: string, order?: Int32Array): Promise<WeightHandle>;
  /** A vector, or any other tensor as float32; with `order`, its elements in that order. */
  vector(key: string, order?: Int32Array): Promise<TensorHandle>;
  /** Numbers that stay with the caller. */
  floats(key: string): Promise<FloatTensor>;
  /** Frees everything handed out so far. */
  free(): void;
}

/**
 * Checks a checkpoint against the plan of its model, tensor by tensor, before anything is read: every planned tensor must
 * be there in the planned shape. Then loads tensors one at a time, so that memory peaks at the model plus one tensor.
 *
 * @param source - the checkpoint's tensors
 * @param plan - what the model wants
 * @param isLoadedLater - tensors that are checked but read by someone else; they do not count as progress
 * @throws Phi3Error `MODEL_TENSOR_MISSING` naming all missing tensors
 * @throws Phi3Error `MODEL_TENSOR_SHAPE` naming the tensor and both shapes
 */
export function createWeightLoader(
  source: WeightSource,
  plan: TensorPlan,
  backend: Backend,
  { onProgress, signal }: LoadOptions,
  isLoadedLater: (key: string) => boolean = () => false,
): WeightLoader {
  checkPlan(source, plan);
  let totalBytes = 0;
  for (const key of plan.keys()) if (!isLoadedLater(key)) totalBytes += source.tensors.get(key)!.sizeInBytes;
  let loadedBytes = 0;
  const handles: (WeightHandle | TensorHandle)[] = [];

  function loaded<Handle extends WeightHandle | TensorHandle>(key: string, handle: Handle): Handle {
    handles.push(handle);
    progressed(key);
    return handle;
  }

  function progressed(key: string): void {
    loadedBytes += source.tensors.get(key)!.sizeInBytes;
    onProgress?.({ tensor: key, loadedBytes, totalBytes });
  }

  const read = createReadAhead(
    source,
    [...plan].filter(([key, shape]) => shape.length >= 2 && !isLoadedLater(key)).map(([key]) => key),
  );
  return {
    async matrix(key, order) {
      signal?.throwIfAborted();
      const matrix = await read.matrix(key);
      read.ahead(key);
      return loaded(key, backend.uploadWeight(order ? permuteRows(matrix, order) : matrix));
    },
    async vector(key, order) {
      signal?.throwIfAborted();
      const tensor: FloatTensor = await source.readFloats(key);
      return loaded(key, backend.upload(order ? permuteElements(tensor, order) : tensor));
    },
    async floats(key) {
      signal?.throwIfAborted();
      const tensor = await source.readFloats(key);
      progressed(key);
      return tensor;
    },
    free() {
      for (const handle of handles) backend.free(handle);
      handles.length = 0;
    },
  };
}

async function readMatrix(source: WeightSource, key: string): Promise<WeightMatrix> {
  const { format, shape } = source.tensors.get(key)!;
  if (shape.length <= 2 || !isWeightFormat(format)) return source.readMatrix(key);
  const [rows, ...rest] = shape as [number, ...number[]];
  const columns = rest.reduce((product, size) => product * size, 1);
  return createWeightMatrix(format, [rows, columns], await source.readBytes(key));
}

/**
 * Reads the next of these matrices while the backend takes the one before, which keeps the thread busy but not the disk: one
 * tensor more in memory. A model that asks in another order is served without.
 */
function createReadAhead(source: WeightSource, keys: readonly string[]) {
  let next: { key: string; matrix: Promise<WeightMatrix> } | undefined;
  let isInOrder = true;
  return {
    matrix(key: string): Promise<WeightMatrix> {
      if (next && next.key !== key) isInOrder = false;
      const found = next?.key === key ? next.matrix : readMatrix(source, key);
      next = undefined;
      return found;
    },
    ahead(key: string): void {
      const following = keys[keys.indexOf(key) + 1];
      if (!isInOrder || following === undefined) return;
      const matrix = readMatrix(source, following);
      matrix.catch(() => {}); // reported to who asks for it; nobody may
      next = { key: following, matrix };
    },
  };
}

function checkPlan(source: WeightSource, plan: TensorPlan): void {
  const missing = [...plan.keys()].filter((key) => !source.tensors.has(key));
  if (missing.length > 0) {
    throw new Phi3Error({
      code: 'MODEL_TENSOR_MISSING',
      function: 'loadWeights',
      expected: `${plan.size} tensors`,
      got: missing,
      where: { tensor: missing[0]! },
      hint: 'The configuration and the weights do not belong together, or the checkpoint is incomplete.',
    });
  }
  for (const [key, shape] of plan) {
    const stored = source.tensors.get(key)!;
    const same = stored.shape.length === shape.length && shape.every((size, axis) => size === stored.shape[axis]);
    if (!same) {
      throw new Phi3Error({
        code: 'MODEL_TENSOR_SHAPE',
        function: 'loadWeights',
        expected: `shape [${shape.join(', ')}] by the configuration`,
        got: stored.shape,
        where: { file: stored.file, tensor: stored.name },
      });
    }
  }
}
