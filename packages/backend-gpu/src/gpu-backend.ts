import {
  ArgumentError,
  type AttentionOptions,
  type Backend,
  type BackendReport,
  type CacheHandle,
  type CacheShape,
  type ExpertRouting,
  type ExpertWeights,
  expectHandleRange,
  expectHandleShape,
  expectKnownOptions,
  expectShape,
  type FloatTensor,
  handleHeadCount,
  handleMatrixShape,
  isPhi3Error,
  Phi3Error,
  type RotaryHandle,
  type RoutingHandle,
  ShapeError,
  type Step,
  type TensorHandle,
  type WeightHandle,
  type WeightMatrix,
} from '@phiblocks/tensor';
import { attend } from './attend.ts';
import { Device, type GpuCounters, type GpuMode } from './device.ts';
import { type GpuJs, importGpuJs } from './gpu-js.ts';
import { GpuWeight } from './gpu-weight.ts';
import { GpuCache } from './kv-cache.ts';
import { proveBackend } from './prove-backend.ts';
import { type Slot, WorkQueue } from './work-queue.ts';

/** How {@link createGpuBackend} computes. */
export interface GpuBackendOptions {
  /**
   * `webgpu`, `webgl2` or `webasm` insist on that mode of gpu.js. `auto`, the default, takes the first of them that runs, and the
   * report says why not the ones before.
   */
  readonly mode?: 'auto' | GpuMode | undefined;
  /**
   * The most numbers in one array of the device; its own limit when absent. Weights beyond it are held in several arrays, and
   * attention runs in several turns.
   */
  readonly maxArrayLength?: number | undefined;
}

/** The backend contract on gpu.js, and what it lets a caller measure. */
export interface GpuBackend extends Backend {
  /** The mode that runs. */
  readonly mode: GpuMode;
  /** How often the device was used since the backend was created. Work that was not read back may not have been counted yet. */
  counters(): GpuCounters;
  /** Handles that were made and not freed: weights, tensors, caches, and temporaries of steps that have not ended. */
  liveHandles(): number;
}

const modes: readonly GpuMode[] = ['webgpu', 'webgl2', 'webasm'];

/**
 * The backend contract on gpu.js: kernels in WebGPU, WebGL2 or WebAssembly. Weights and caches stay on the device; only `read`,
 * `readRouting` and `readCache` bring numbers back, and `runExperts` the choice of experts.
 *
 * @throws Phi3Error `GPU_PACKAGE_MISSING` when gpu.js is not installed; `GPU_MODE_UNAVAILABLE` when the mode cannot run here,
 * with the reason; `GPU_MODE_CHANGED` when gpu.js runs something else; `OPTION_UNKNOWN`
 * @throws ArgumentError `ARGUMENT` for an option outside its range
 * @example
 * const backend = await createGpuBackend({ mode: 'webasm' });
 * const step = backend.beginStep();
 * const doubled = step.multiply(step.upload({ data: new Float32Array([1, 2]), shape: [1, 2] }), 2);
 * (await backend.read(doubled)).data; // => [2, 4]
 * await backend.dispose();
 */
export async function createGpuBackend(options: GpuBackendOptions = {}): Promise<GpuBackend> {
  expectKnownOptions('createGpuBackend', options, ['mode', 'maxArrayLength']);
  const { mode = 'auto', maxArrayLength = Number.POSITIVE_INFINITY } = options;
  if (mode !== 'auto' && !modes.includes(mode)) throw optionError('mode', `auto, ${modes.join(', ')}`, mode);
  if (!(maxArrayLength >= 1024)) throw optionError('maxArrayLength', 'a number from 1024 up', maxArrayLength);
  const gpuJs = await importGpuJs();
  if (mode !== 'auto') return openBackend(gpuJs, mode, maxArrayLength, []);
  const notes: string[] = [];
  for (const candidate of modes) {
    try {
      return await openBackend(gpuJs, candidate, maxArrayLength, notes);
    } catch (error) {
      if (!isPhi3Error(error)) throw error;
      notes.push(`Not ${candidate}: ${error.message}`);
    }
  }
  throw new Phi3Error({
    code: 'GPU_MODE_UNAVAILABLE',
    function: 'createGpuBackend',
    argument: 'options.mode',
    expected: 'a platform where gpu.js runs in one of its modes',
    got: notes,
  });
}

/** @throws Phi3Error `GPU_MODE_UNAVAILABLE`, also for a device that computes something else than it is told */
async function openBackend(
  gpuJs: GpuJs,
  mode: GpuMode,
  maxArrayLength: number,
  notes: readonly string[],
): Promise<GpuBackendImplementation> {
  const device = await Device.open(gpuJs, mode, maxArrayLength);
  const backend = new GpuBackendImplementation(device, notes);
  let wrong: string | undefined;
  try {
    wrong = await proveBackend(backend);
  } catch (error) {
    await backend.dispose();
    throw error;
  }
  if (wrong !== undefined) {
    await backend.dispose();
    throw new Phi3Error({
      code: 'GPU_MODE_UNAVAILABLE',
      function: 'createGpuBackend',
      argument: 'options.mode',
      expected: `a device that computes what it is told in mode ${mode}`,
      got: wrong,
    });
  }
  await backend.queue.idle();
  device.resetCounters();
  return backend;
}

function optionError(option: string, expected: string, got: unknown): ArgumentError {
  return new ArgumentError({ function: 'createGpuBackend', argument: `options.${option}`, expected, got });
}

// The handles of this backend. Callers see only the types of the contract.

class GpuTensor implements TensorHandle {
  constructor(
    readonly shape: readonly number[],
    readonly slot: Slot,
  ) {}
}

class GpuRouting implements RoutingHandle {
  constructor(
    readonly numTokens: number,
    readonly expertsPerToken: number,
    /** Per token and pick the expert and its weight. */
    readonly slot: Slot,
  ) {}
}

class GpuBackendImplementation implements GpuBackend {
  readonly device: Device;
  readonly queue: WorkQueue;
  readonly #notes: readonly string[];
  /** Every handle that may be used. A handle outside is either freed or another backend's; both are errors. */
  readonly #live = new Set<object>();
  #disposed = false;

  constructor(device: Device, notes: readonly string[]) {
    this.device = device;
    this.queue = new WorkQueue(device);
    this.#notes = notes;
  }

  get name(): string {
    return this.mode;
  }

  get mode(): GpuMode {
    return this.device.mode;
  }

  report(): BackendReport {
    const words = this.mode === 'webgpu' ? 'in 32 bit words' : 'in floats, as whole numbers of up to 24 bits';
    const notes = [
      ...this.#notes,
      `gpu.js runs in mode ${this.mode} on ${this.device.adapter}.`,
      `Weights in blocks are held as their integers, ${words}, with float32 scales; F16 and BF16 as float32.`,
    ];
    if (this.mode === 'webasm') notes.push('There is no device in this mode: every kernel copies its arguments.');
    return { backend: this.name, threads: 1, acceleration: this.device.adapter, fallbacks: {}, notes };
  }

  counters(): GpuCounters {
    return this.device.counters();
  }

  liveHandles(): number {
    return this.#live.size;
  }

  uploadWeight(matrix: WeightMatrix): WeightHandle {
    this.#expectOpen('uploadWeight');
    return this.adopt(new GpuWeight(this.device, this.queue, matrix));
  }

  upload(tensor: FloatTensor): TensorHandle {
    return this.makeUploaded(tensor);
  }

  createCache(shape: CacheShape): CacheHandle {
    this.#expectOpen('createCache');
    return this.adopt(new GpuCache(this.queue, shape));
  }

  truncateCache(cache: CacheHandle, length: number): void {
    this.cacheOf(cache, 'truncateCache').truncate(length);
  }

  async readCache(cache: CacheHandle, layer: number): Promise<{ keys: FloatTensor; values: FloatTensor }> {
    const held = this.cacheOf(cache, 'readCache');
    const { width, length } = held;
    const { stored, storedCount, recent } = held.positions('readCache', layer);
    const rows = new Float32Array(2 * width * length);
    if (stored) rows.set((await this.queue.read(stored)).subarray(0, Math.min(storedCount, length) * 2 * width));
    const recentCount = length - Math.min(storedCount, length);
    if (recent && recentCount > 0) {
      rows.set((await this.queue.read(recent)).subarray(0, recentCount * 2 * width), storedCount * 2 * width);
    }
    const half = (start: number): FloatTensor => {
      const data = new Float32Array(width * length);
      for (let row = 0; row < length; row++) {
        data.set(rows.subarray(2 * row * width + start, 2 * row * width + start + width), row * width);
      }
      return { data, shape: [length, width] };
    };
    return { keys: half(0), values: half(width) };
  }

  free(handle: WeightHandle | TensorHandle | CacheHandle): void {
    this.expectLive(handle, 'free');
    this.release(handle);
  }

  beginStep(): Step {
    return new GpuStep(this);
  }

  async read(handle: TensorHandle): Promise<FloatTensor> {
    const { slot, shape } = this.tensorOf(handle, 'read');
    return { data: await this.queue.read(slot), shape };
  }

  async readRouting(handle: RoutingHandle): Promise<ExpertRouting> {
    const { numTokens, expertsPerToken, slot } = this.routingOf(handle, 'readRouting');
    return { numTokens, expertsPerToken, ...splitRouting(await this.queue.read(slot)) };
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const handle of [...this.#live]) this.release(handle);
    await this.queue.idle();
    await this.device.close();
  }

  // What steps use.

  adopt<Handle extends object>(handle: Handle): Handle {
    this.#live.add(handle);
    return handle;
  }

  makeUploaded({ data, shape }: FloatTensor): GpuTensor {
    this.#expectOpen('upload');
    expectShape({ data, shape }, shape, { function: 'upload', argument: 'tensor' });
    const columns = shape.at(-1) ?? 1;
    return this.adopt(new GpuTensor(shape, this.queue.place(data, columns, columns === 0 ? 0 : data.length / columns)));
  }

  release(handle: object): void {
    if (!this.#live.delete(handle)) return;
    if (handle instanceof GpuTensor || handle instanceof GpuRouting) this.queue.release(handle.slot);
    else if (handle instanceof GpuCache) handle.free();
    else if (handle instanceof GpuWeight) handle.free(this.queue);
  }

  expectLive(handle: object, functionName: string): void {
    if (this.#live.has(handle)) return;
    throw new Phi3Error({
      code: 'HANDLE_INVALID',
      function: functionName,
      expected: 'a handle of this backend that has not been freed',
      got: handle,
    });
  }

  tensorOf(handle: TensorHandle, functionName: string): GpuTensor {
    this.expectLive(handle, functionName);
    return handle as GpuTensor;
  }

  weightOf(handle: WeightHandle, functionName: string): GpuWeight {
    this.expectLive(handle, functionName);
    return handle as GpuWeight;
  }

  cacheOf(handle: CacheHandle, functionName: string): GpuCache {
    this.expectLive(handle, functionName);
    return handle as GpuCache;
  }

  routingOf(handle: RoutingHandle, functionName: string): GpuRouting {
    this.expectLive(handle, functionName);
    return handle as GpuRouting;
  }

  #expectOpen(functionName: string): void {
    if (!this.#disposed) return;
    throw new Phi3Error({ code: 'HANDLE_INVALID', function: functionName, expected: 'a live backend' });
  }
}

function splitRouting(picks: Float32Array): { expertIds: Int32Array; weights: Float32Array } {
  const expertIds = new Int32Array(picks.length / 2);
  const weights = new Float32Array(picks.length / 2);
  for (let i = 0; i < expertIds.length; i++) {
    expertIds[i] = picks[2 * i]!;
    weights[i] = picks[2 * i + 1]!;
  }
  return { expertIds, weights };
}

class GpuStep implements Step {
  readonly #backend: GpuBackendImplementation;
  readonly #queue: WorkQueue;
  #temporaries: object[] = [];
  #ended = false;

  constructor(backend: GpuBackendImplementation) {
    this.#backend = backend;
    this.#queue = backend.queue;
  }

  #expectOpen(): void {
    if (!this.#ended) return;
    throw new Phi3Error({ code: 'STEP_ENDED', function: 'Step', expected: 'a step that has not ended' });
  }

  /** A result of this step. `run` is called only while the step is open. */
  #made(shape: readonly number[], run: () => Slot): GpuTensor {
    this.#expectOpen();
    const made = this.#backend.adopt(new GpuTensor(shape, run()));
    this.#temporaries.push(made);
    return made;
  }

  upload(tensor: FloatTensor): TensorHandle {
    this.#expectOpen();
    const made = this.#backend.makeUploaded(tensor);
    this.#temporaries.push(made);
    return made;
  }

  embed(table: WeightHandle, ids: Int32Array): TensorHandle {
    const weight = this.#backend.weightOf(table, 'embed');
    const [rows, columns] = weight.shape;
    for (let token = 0; token < ids.length; token++) {
      const id = ids[token]!;
      if (id >= 0 && id < rows) continue;
      throw new Phi3Error({
        code: 'TOKEN_ID_RANGE',
        function: 'embed',
        argument: `ids[${token}]`,
        expected: `an id from 0 to ${rows - 1}`,
        got: id,
      });
    }
    return this.#made([ids.length, columns], () => {
      const idSlot = this.#queue.place(Float32Array.from(ids), ids.length, 1);
      const out = weight.embed(this.#queue, idSlot);
      this.#queue.release(idSlot);
      return out;
    });
  }

  rmsNorm(x: TensorHandle, weight: TensorHandle, epsilon: number): TensorHandle {
    const scale = this.#backend.tensorOf(weight, 'rmsNorm');
    const input = this.#backend.tensorOf(x, 'rmsNorm');
    expectHandleShape('rmsNorm', 'weight', scale, [null]);
    expectHandleShape('rmsNorm', 'x', input, [null, scale.shape[0]!]);
    const { columns, rows } = input.slot;
    return this.#made(input.shape, () => {
      const { columnsPerSlice, slices } = slicesOf(columns);
      const args = [input.slot, input.slot, columns, columnsPerSlice, slices, 0];
      const squares = this.#queue.launch('squareSlices', {}, slices, rows, args);
      const normArgs = [input.slot, squares, scale.slot, columns, slices, epsilon];
      const out = this.#queue.launch('rmsNorm', {}, columns, rows, normArgs);
      this.#queue.release(squares);
      return out;
    });
  }

  layerNorm(x: TensorHandle, weight: TensorHandle, bias: TensorHandle, epsilon: number): TensorHandle {
    const scale = this.#backend.tensorOf(weight, 'layerNorm');
    const offset = this.#backend.tensorOf(bias, 'layerNorm');
    const input = this.#backend.tensorOf(x, 'layerNorm');
    expectHandleShape('layerNorm', 'weight', scale, [null]);
    expectHandleShape('layerNorm', 'bias', offset, scale.shape);
    expectHandleShape('layerNorm', 'x', input, [null, scale.shape[0]!]);
    const { columns, rows } = input.slot;
    return this.#made(input.shape, () => {
      const { columnsPerSlice, slices } = slicesOf(columns);
      const sums = this.#queue.launch('sumSlices', {}, slices, rows, [input.slot, columns, columnsPerSlice]);
      const args = [input.slot, sums, columns, columnsPerSlice, slices, 1];
      const squares = this.#queue.launch('squareSlices', {}, slices, rows, args);
      const normArgs = [input.slot, sums, squares, scale.slot, offset.slot, columns, slices, epsilon];
      const out = this.#queue.launch('layerNorm', {}, columns, rows, normArgs);
      this.#queue.release(sums);
      this.#queue.release(squares);
      return out;
    });
  }

  linear(x: TensorHandle, weight: WeightHandle, bias?: TensorHandle): TensorHandle {
    return this.#linear('linear', x, weight, bias);
  }

  #linear(functionName: string, x: TensorHandle, weight: WeightHandle, bias?: TensorHandle): GpuTensor {
    const matrix = this.#backend.weightOf(weight, functionName);
    const input = this.#backend.tensorOf(x, functionName);
    const offset = bias && this.#backend.tensorOf(bias, functionName);
    const [rows, columns] = matrix.shape;
    expectHandleShape(functionName, 'x', input, [null, columns]);
    if (offset) expectHandleShape(functionName, 'bias', offset, [rows]);
    return this.#made([input.shape[0]!, rows], () => matrix.linear(this.#queue, input.slot, offset?.slot));
  }

  add(a: TensorHandle, b: TensorHandle): TensorHandle {
    const left = this.#backend.tensorOf(a, 'add');
    const right = this.#backend.tensorOf(b, 'add');
    expectHandleShape('add', 'b', right, left.shape);
    const { columns, rows } = left.slot;
    return this.#made(left.shape, () => this.#queue.launch('add', {}, columns, rows, [left.slot, right.slot]));
  }

  multiply(x: TensorHandle, factor: number): TensorHandle {
    const input = this.#backend.tensorOf(x, 'multiply');
    const { columns, rows } = input.slot;
    return this.#made(input.shape, () => this.#queue.launch('multiply', {}, columns, rows, [input.slot, factor]));
  }

  rows(x: TensorHandle, start: number, count: number): TensorHandle {
    const input = this.#backend.tensorOf(x, 'rows');
    const [tokens, width] = handleMatrixShape('rows', 'x', input);
    expectHandleRange('rows', start, count, tokens);
    return this.#made([count, width], () => this.#queue.launch('slice', {}, width, count, [input.slot, start, 0]));
  }

  columns(x: TensorHandle, start: number, count: number): TensorHandle {
    const input = this.#backend.tensorOf(x, 'columns');
    const [tokens, width] = handleMatrixShape('columns', 'x', input);
    expectHandleRange('columns', start, count, width);
    return this.#made([tokens, count], () => this.#queue.launch('slice', {}, count, tokens, [input.slot, 0, start]));
  }

  rotate(heads: TensorHandle, rotary: RotaryHandle, headDim: number): TensorHandle {
    const input = this.#backend.tensorOf(heads, 'rotate');
    handleHeadCount('rotate', 'heads', input, headDim);
    const [tokens, width] = handleMatrixShape('rotate', 'heads', input);
    const { cos, sin, half } = this.#rotary('rotate', rotary, tokens, headDim);
    return this.#made(input.shape, () =>
      this.#queue.launch('rotate', {}, width, tokens, [input.slot, cos.slot, sin.slot, headDim, half]),
    );
  }

  #rotary(functionName: string, rotary: RotaryHandle, positions: number, headDim: number) {
    const cos = this.#backend.tensorOf(rotary.cos, functionName);
    const sin = this.#backend.tensorOf(rotary.sin, functionName);
    expectHandleShape(functionName, 'rotary.cos', cos, [positions, null]);
    expectHandleShape(functionName, 'rotary.sin', sin, cos.shape);
    const half = cos.shape[1]!;
    if (2 * half > headDim) {
      throw new ShapeError({
        function: functionName,
        argument: 'rotary',
        expected: `at most ${headDim / 2} angles per position for heads of ${headDim}`,
        got: half,
      });
    }
    return { cos, sin, half };
  }

  appendToCache(cache: CacheHandle, layer: number, keys: TensorHandle, values: TensorHandle): void {
    this.#expectOpen();
    const held = this.#backend.cacheOf(cache, 'appendToCache');
    const k = this.#backend.tensorOf(keys, 'appendToCache');
    const v = this.#backend.tensorOf(values, 'appendToCache');
    expectHandleShape('appendToCache', 'keys', k, [null, held.width]);
    expectHandleShape('appendToCache', 'values', v, k.shape);
    held.append(layer, k.slot, v.slot, k.shape[0]!);
  }

  attention(queries: TensorHandle, cache: CacheHandle, layer: number, options: AttentionOptions): TensorHandle {
    const held = this.#backend.cacheOf(cache, 'attention');
    const input = this.#backend.tensorOf(queries, 'attention');
    const { numKeyValueHeads, headDim, width } = held;
    const heads = handleHeadCount('attention', 'queries', input, headDim);
    if (heads % numKeyValueHeads !== 0) {
      throw new ShapeError({
        function: 'attention',
        argument: 'queries',
        expected: `heads in a multiple of ${numKeyValueHeads} key/value heads`,
        got: input.shape,
      });
    }
    const { length, ...positions } = held.positions('attention', layer);
    if (input.shape[0]! > length) {
      throw new ShapeError({
        function: 'attention',
        argument: 'queries',
        expected: `at most ${length} tokens, as many as the cache has positions`,
        got: input.shape[0]!,
      });
    }
    const { scale, slidingWindow = 0, blockSparse, keyRotation } = options;
    const rotary = keyRotation && this.#rotary('attention', keyRotation, length, headDim);
    return this.#made(input.shape, () => {
      const stored = positions.stored ?? input.slot;
      const recent = positions.recent ?? stored;
      const common = {
        queries: input.slot,
        length,
        heads,
        keyValueHeads: numKeyValueHeads,
        headDim,
        scale,
        isCausal: true,
        slidingWindow,
        blockSparse,
        mostElements: this.#backend.device.mostElements,
      };
      if (!rotary) return attend(this.#queue, { ...common, stored, storedCount: positions.storedCount, recent });
      const { cos, sin, half } = rotary;
      const args = [stored, recent, cos.slot, sin.slot, positions.storedCount, width, headDim, half];
      const rotated = this.#queue.launch('rotateStored', {}, 2 * width, length, args);
      const out = attend(this.#queue, { ...common, stored: rotated, storedCount: length, recent: rotated });
      this.#queue.release(rotated);
      return out;
    });
  }

  fullAttention(
    queries: TensorHandle,
    keys: TensorHandle,
    values: TensorHandle,
    { numHeads, scale }: { numHeads: number; scale: number },
  ): TensorHandle {
    const input = this.#backend.tensorOf(queries, 'fullAttention');
    const k = this.#backend.tensorOf(keys, 'fullAttention');
    const v = this.#backend.tensorOf(values, 'fullAttention');
    const [, width] = handleMatrixShape('fullAttention', 'queries', input);
    const headDim = width / numHeads;
    handleHeadCount('fullAttention', 'queries', input, headDim);
    expectHandleShape('fullAttention', 'keys', k, [null, width]);
    expectHandleShape('fullAttention', 'values', v, k.shape);
    const length = k.shape[0]!;
    return this.#made(input.shape, () => {
      const both = this.#queue.launch('joinColumns', {}, 2 * width, length, [k.slot, v.slot, width]);
      const out = attend(this.#queue, {
        queries: input.slot,
        stored: both,
        storedCount: length,
        recent: both,
        length,
        heads: numHeads,
        keyValueHeads: numHeads,
        headDim,
        scale,
        isCausal: false,
        slidingWindow: 0,
        blockSparse: undefined,
        mostElements: this.#backend.device.mostElements,
      });
      this.#queue.release(both);
      return out;
    });
  }

  gatedActivation(x: TensorHandle, kind: 'swiglu' | 'gegelu', limit = Number.POSITIVE_INFINITY): TensorHandle {
    const input = this.#backend.tensorOf(x, 'gatedActivation');
    const [tokens, width] = handleMatrixShape('gatedActivation', 'x', input);
    if (width % 2 !== 0) {
      const expected = 'an even width';
      throw new ShapeError({ function: 'gatedActivation', argument: 'x', expected, got: input.shape });
    }
    const size = width / 2;
    return this.#made([tokens, size], () => {
      if (kind === 'swiglu') return this.#queue.launch('swiglu', {}, size, tokens, [input.slot, size]);
      // A limit that float32 cannot pass stands for none.
      const args = [input.slot, size, Math.min(limit, largestFloat)];
      return this.#queue.launch('gegelu', {}, size, tokens, args);
    });
  }

  activation(x: TensorHandle, kind: 'quickGelu' | 'gelu'): TensorHandle {
    const input = this.#backend.tensorOf(x, 'activation');
    const { columns, rows } = input.slot;
    return this.#made(input.shape, () => this.#queue.launch(kind, {}, columns, rows, [input.slot]));
  }

  routeExperts(
    x: TensorHandle,
    gate: WeightHandle,
    { expertsPerToken, jitterEpsilon }: { expertsPerToken: number; jitterEpsilon: number },
  ): RoutingHandle {
    const [numExperts] = this.#backend.weightOf(gate, 'routeExperts').shape;
    if (!(Number.isInteger(expertsPerToken) && expertsPerToken >= 1 && expertsPerToken <= numExperts)) {
      throw new ArgumentError({
        function: 'routeExperts',
        argument: 'options.expertsPerToken',
        expected: `a whole number from 1 to ${numExperts}`,
        got: expertsPerToken,
      });
    }
    const scores = this.#linear('routeExperts', x, gate);
    const tokens = scores.shape[0]!;
    const args = [scores.slot, numExperts, jitterEpsilon];
    const picks = this.#queue.launch('routeExperts', {}, 2 * expertsPerToken, tokens, args);
    const routing = this.#backend.adopt(new GpuRouting(tokens, expertsPerToken, picks));
    this.#temporaries.push(routing);
    return routing;
  }

  runExperts(x: TensorHandle, routing: RoutingHandle, experts: readonly (ExpertWeights | undefined)[]): TensorHandle {
    const input = this.#backend.tensorOf(x, 'runExperts');
    const { numTokens, expertsPerToken, slot: picks } = this.#backend.routingOf(routing, 'runExperts');
    const [tokens, width] = handleMatrixShape('runExperts', 'x', input);
    if (numTokens !== tokens) {
      throw new ShapeError({
        function: 'runExperts',
        argument: 'routing',
        expected: `a routing of ${tokens} tokens`,
        got: numTokens,
      });
    }
    const weights = experts.map(
      (expert) =>
        expert && {
          w1: this.#backend.weightOf(expert.w1, 'runExperts'),
          w2: this.#backend.weightOf(expert.w2, 'runExperts'),
          w3: this.#backend.weightOf(expert.w3, 'runExperts'),
        },
    );
    return this.#made(input.shape, () => {
      const out: Slot = { columns: width, rows: tokens, array: undefined };
      if (tokens === 0) return out;
      const { device } = this.#backend;
      // Which experts are to run is known only on the device. It is read in its turn, so that the caller need not wait: two
      // numbers per token and pick. Running all experts instead would read all their weights.
      this.#queue.enqueue(async () => {
        const chosen = splitRouting(await device.read(picks.array!));
        const inner = new WorkQueue(device);
        const sum = addExperts(inner, input.slot, chosen, expertsPerToken, weights);
        await inner.idle();
        inner.expectSound();
        out.array = sum.array;
      });
      return out;
    });
  }

  patchEmbedding(pixels: TensorHandle, weight: WeightHandle, patchSize: number): TensorHandle {
    const image = this.#backend.tensorOf(pixels, 'patchEmbedding');
    expectHandleShape('patchEmbedding', 'pixels', image, [null, null, null]);
    const [channels, height, width] = image.shape as [number, number, number];
    if (!(patchSize >= 1) || height % patchSize !== 0 || width % patchSize !== 0) {
      throw new ShapeError({
        function: 'patchEmbedding',
        argument: 'pixels',
        expected: `height and width in multiples of ${patchSize}`,
        got: image.shape,
      });
    }
    const across = width / patchSize;
    const patches = (height / patchSize) * across;
    const size = channels * patchSize * patchSize;
    const unfolded = this.#made([patches, size], () =>
      this.#queue.launch('unfoldPatches', {}, size, patches, [image.slot, height, across, patchSize]),
    );
    return this.#linear('patchEmbedding', unfolded, weight);
  }

  commit(cache: CacheHandle, numTokens: number): void {
    this.#backend.cacheOf(cache, 'commit').commit(numTokens);
  }

  keepOnly(handles: readonly TensorHandle[]): void {
    const kept = new Set<object>(handles);
    for (const handle of this.#temporaries) if (!kept.has(handle)) this.#backend.release(handle);
    this.#temporaries = this.#temporaries.filter((handle) => kept.has(handle));
  }

  end(): void {
    this.#ended = true;
    for (const handle of this.#temporaries) this.#backend.release(handle);
    this.#temporaries = [];
  }
}

/** The largest finite float32. */
const largestFloat = (2 - 2 ** -23) * 2 ** 127;

/** A row is summed in at most 64 slices of at least 16. */
function slicesOf(columns: number): { columnsPerSlice: number; slices: number } {
  const columnsPerSlice = Math.max(16, Math.ceil(columns / 64));
  return { columnsPerSlice, slices: Math.max(1, Math.ceil(columns / columnsPerSlice)) };
}

interface ExpertOnDevice {
  readonly w1: GpuWeight;
  readonly w2: GpuWeight;
  readonly w3: GpuWeight;
}

/** The weighted sum of the chosen experts' outputs, expert by expert in the order of their numbers. */
function addExperts(
  queue: WorkQueue,
  x: Slot,
  { expertIds, weights }: { expertIds: Int32Array; weights: Float32Array },
  expertsPerToken: number,
  experts: readonly (ExpertOnDevice | undefined)[],
): Slot {
  let sum = queue.launch('multiply', {}, x.columns, x.rows, [x, 0]);
  for (const index of [...new Set(expertIds)].sort((a, b) => a - b)) {
    const expert = experts[index];
    if (!expert) {
      throw new Phi3Error({
        code: 'EXPERT_MISSING',
        function: 'runExperts',
        argument: `experts[${index}]`,
        expected: 'the weights of every expert that a token chose',
        got: expert,
      });
    }
    const tokens: number[] = [];
    const places = new Float32Array(x.rows).fill(-1);
    const factors = new Float32Array(x.rows);
    for (const [pick, id] of expertIds.entries()) {
      if (id !== index) continue;
      const token = Math.floor(pick / expertsPerToken);
      places[token] = tokens.length;
      factors[token] = weights[pick]!;
      tokens.push(token);
    }
    const spare: Slot[] = [];
    const temporary = (slot: Slot): Slot => {
      spare.push(slot);
      return slot;
    };
    const isAll = tokens.length === x.rows;
    const rowNumbers = isAll ? undefined : temporary(queue.place(Float32Array.from(tokens), tokens.length, 1));
    const rows = rowNumbers ? temporary(queue.launch('gatherRows', {}, x.columns, tokens.length, [x, rowNumbers])) : x;
    const gates = temporary(expert.w1.linear(queue, rows, undefined));
    const ups = temporary(expert.w3.linear(queue, rows, undefined));
    const inner = temporary(queue.launch('gate', {}, gates.columns, gates.rows, [gates, ups]));
    const result = temporary(expert.w2.linear(queue, inner, undefined));
    const placesSlot = temporary(queue.place(places, x.rows, 1));
    const factorsSlot = temporary(queue.place(factors, x.rows, 1));
    const next = queue.launch('addExpert', {}, x.columns, x.rows, [sum, result, placesSlot, factorsSlot]);
    for (const slot of [...spare, sum]) queue.release(slot);
    sum = next;
  }
  return sum;
}
