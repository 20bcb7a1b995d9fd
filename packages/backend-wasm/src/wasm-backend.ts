import {
  ArgumentError,
  type AttentionOptions,
  type Backend,
  type BackendReport,
  type CacheFormat,
  type CacheHandle,
  createFloatTensor,
  type ExpertRouting,
  type ExpertWeights,
  expectHandleRange,
  expectHandleShape,
  expectKnownOptions,
  type FloatTensor,
  handleHeadCount,
  handleMatrixShape,
  isPhi3Error,
  Phi3Error,
  type RotaryHandle,
  type RoutingHandle,
  ShapeError,
  type Step,
  sizeOfShape,
  type TensorHandle,
  type WeightFormat,
  type WeightHandle,
  type WeightMatrix,
} from '@phiblocks/tensor';
import type { Simd } from './kernels.ts';
import { cacheFormats, WasmCache } from './kv-cache.ts';
import { Machine } from './machine.ts';
import { scratchSize } from './memory-bank.ts';
import { type MemoryPlan, mostMemories, roomForProducts, sizeInMemory } from './memory-plan.ts';
import { readCache } from './read-cache.ts';
import { routeToken } from './sparse-mixer.ts';
import { type CreateWorker, createDefaultWorker } from './thread-pool.ts';
import { activationGroupSize, layouts, storedFormat } from './weight-layouts.ts';

/** How {@link createWasmBackend} computes. */
export interface WasmBackendOptions {
  /** Threads, this one included; as many as the machine runs at once, at most 8, when absent. Results do not depend on it. */
  readonly threads?: number | undefined;
  /** `auto` takes the fastest that the engine has; a name insists on it. `none` is for engines without SIMD, and slow. */
  readonly simd?: 'auto' | Simd | undefined;
  /** How keys and values are stored; `f32` when absent. */
  readonly kvCache?: CacheFormat | undefined;
  /**
   * What block formats (Q4_0, Q8_0, …) are multiplied with: `q8`, activations rounded to int8 in groups of 32, which is fast
   * and the default, or `f32`, which is slow and exact but for float32 rounding. Float formats always take `f32`.
   */
  readonly activations?: 'q8' | 'f32' | undefined;
  /**
   * WebAssembly memories, 1 to 8; 1 when absent, unless `plan` calls for more. All of them hold weights, whole matrices each;
   * the first also caches and results.
   */
  readonly memories?: number | undefined;
  /** What the backend will hold, from which the number of memories follows. An error beside `memories`. */
  readonly plan?: MemoryPlan | undefined;
  /** The most that one memory may hold, from 2^23 to 2^32 bytes; 2^32 (4 GB) when absent. */
  readonly memorySizeInBytes?: number | undefined;
  /** Makes a worker that runs the entry `@phiblocks/backend-wasm/worker`, where the file beside this one cannot be found. */
  readonly createWorker?: CreateWorker | undefined;
}

/** The backend contract on WebAssembly, and what it lets a caller measure. */
export interface WasmBackend extends Backend {
  /** Handles that were made and not freed: weights, tensors, caches, and temporaries of steps that have not ended. */
  liveHandles(): number;
  /** Bytes of WebAssembly memory that weights, caches and tensors occupy. */
  usedMemoryInBytes(): number;
  /** Bytes that a matrix takes here, in the layout that its format gets. */
  weightSizeInBytes(matrix: Pick<WeightMatrix, 'format' | 'shape'>): number;
  /**
   * Reads the memory of all uploaded weights once, on all threads, and does nothing with it: the speed limit of decoding.
   *
   * @returns bytes read and the time it took
   */
  streamWeights(): { sizeInBytes: number; elapsedMs: number };
}

/**
 * The backend contract on WebAssembly SIMD and threads: weights in memory in the order that the kernels read them, results
 * independent of the number of threads. Each operation has finished when it returns; only what brings numbers back is asynchronous,
 * as the contract wants.
 *
 * @throws Phi3Error `UNSUPPORTED` when the engine lacks what is asked for; `WORKER_LOST` when a worker does not start;
 * `OPTION_UNKNOWN`
 * @throws ArgumentError `ARGUMENT` for an option outside its range
 * @example
 * const backend = await createWasmBackend({ threads: 1 });
 * const step = backend.beginStep();
 * const doubled = step.multiply(step.upload({ data: new Float32Array([1, 2]), shape: [1, 2] }), 2);
 * (await backend.read(doubled)).data; // => [2, 4]
 * await backend.dispose();
 */
export async function createWasmBackend(options: WasmBackendOptions = {}): Promise<WasmBackend> {
  expectKnownOptions('createWasmBackend', options, [
    'threads',
    'simd',
    'kvCache',
    'activations',
    'memories',
    'plan',
    'memorySizeInBytes',
    'createWorker',
  ]);
  const { threads, simd = 'auto', kvCache = 'f32', activations = 'q8' } = options;
  const { memories, plan, memorySizeInBytes = 2 ** 32, createWorker = createDefaultWorker } = options;
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= 32)) {
    throw optionError('threads', 'a whole number from 1 to 32', threads);
  }
  if (memories !== undefined && !(Number.isInteger(memories) && memories >= 1 && memories <= mostMemories)) {
    throw optionError('memories', `a whole number from 1 to ${mostMemories}`, memories);
  }
  if (memories !== undefined && plan !== undefined) throw optionError('plan', 'none beside memories', plan);
  if (!(memorySizeInBytes >= 2 ** 23 && memorySizeInBytes <= 2 ** 32)) {
    throw optionError('memorySizeInBytes', 'bytes from 2^23 to 2^32', memorySizeInBytes);
  }
  expectOneOf('simd', simd, ['auto', 'relaxed', 'simd', 'none']);
  expectOneOf('kvCache', kvCache, Object.keys(cacheFormats));
  expectOneOf('activations', activations, ['q8', 'f32']);
  const machine = await Machine.create({
    threads,
    simd,
    memories: memories ?? plan ?? 1,
    memorySizeInBytes,
    createWorker,
  });
  return new WasmBackendImplementation(machine, kvCache, activations);
}

function expectOneOf(option: string, value: string, known: readonly string[]): void {
  if (!known.includes(value)) throw optionError(option, known.join(', '), value);
}

function optionError(option: string, expected: string, got: unknown): ArgumentError {
  return new ArgumentError({ function: 'createWasmBackend', argument: `options.${option}`, expected, got });
}

// The handles of this backend. Callers see only the types of the contract.

class WasmTensor implements TensorHandle {
  constructor(
    readonly shape: readonly number[],
    readonly address: number,
  ) {}

  get size(): number {
    return sizeOfShape(this.shape);
  }
}

class WasmWeight implements WeightHandle {
  constructor(
    readonly format: WeightFormat,
    readonly shape: readonly [number, number],
    readonly layout: number,
    /** In which memory it lies. */
    readonly bank: number,
    readonly address: number,
    readonly sizeInBytes: number,
  ) {}
}

class WasmRouting implements RoutingHandle {
  constructor(
    readonly numTokens: number,
    readonly expertsPerToken: number,
    readonly experts: Int32Array,
    readonly weights: Float32Array,
  ) {}
}

/** Repacking works on so many bytes of the file at a time. */
const stagingSize = 4 * 1024 * 1024;

class WasmBackendImplementation implements WasmBackend {
  readonly name = 'wasm';
  readonly #machine: Machine;
  readonly #kvCache: CacheFormat;
  readonly #activations: 'q8' | 'f32';
  /** Every handle that may be used. A handle outside is either freed or another backend's; both are errors. */
  readonly #live = new Set<object>();
  readonly #weights = new Set<WasmWeight>();
  #disposed = false;

  constructor(machine: Machine, kvCache: CacheFormat, activations: 'q8' | 'f32') {
    this.#machine = machine;
    this.#kvCache = kvCache;
    this.#activations = activations;
  }

  report(): BackendReport {
    const { threads, acceleration, notes } = this.#machine.report();
    const rounding =
      this.#activations === 'q8'
        ? 'Weights in blocks are multiplied with activations rounded to int8 in groups of 32.'
        : 'Weights in blocks are multiplied with float32 activations.';
    return {
      backend: this.name,
      threads,
      acceleration,
      fallbacks: {},
      notes: [...notes, rounding, `Keys and values are stored as ${this.#kvCache}.`],
    };
  }

  uploadWeight(matrix: WeightMatrix): WeightHandle {
    const { layout } = storedFormat(matrix.format);
    // A scale that is infinite or NaN has no place in the fast layouts, whose kernels widen float16 by shifting bits. Such a
    // matrix is stored as the float32 that it means, so that its infinities and NaN are not lost.
    const weight = this.#place(matrix, layout) ?? this.#place(matrix, layouts.float32);
    if (!weight) throw new RangeError('float32 weights are packed without exception');
    this.#live.add(weight);
    this.#weights.add(weight);
    return weight;
  }

  /** In the last memory that has room: the first is also wanted for caches and results. */
  #place(matrix: WeightMatrix, layout: number): WasmWeight | undefined {
    const size = this.#sizeOf(matrix, layout);
    for (let bank = this.#machine.banks.length - 1; bank > 0; bank--) {
      const { heap } = this.#machine.banks[bank]!;
      if (heap.usedInBytes + size > heap.limitInBytes - roomForProducts(heap.limitInBytes)) continue;
      try {
        return this.#pack(matrix, layout, bank);
      } catch (error) {
        if (!isPhi3Error(error, 'OOM')) throw error;
      }
    }
    return this.#pack(matrix, layout, 0);
  }

  #sizeOf({ shape: [rows, columns] }: Pick<WeightMatrix, 'shape'>, layout: number): number {
    return sizeInMemory(this.#machine.kernels, layout, rows, columns);
  }

  /** Undefined when the layout cannot hold the values. */
  #pack(matrix: WeightMatrix, layout: number, bank: number): WasmWeight | undefined {
    const memory = this.#machine.banks[bank]!;
    const { heap, kernels } = memory;
    const { format, shape, bytes } = matrix;
    const [rows, columns] = shape;
    const stored = storedFormat(format);
    const asFloats = layout === layouts.float32 && format !== 'F32';
    const fileRowSize = (columns / stored.weightsPerBlock) * stored.bytesPerBlock;
    if (!Number.isInteger(fileRowSize) || bytes.byteLength !== rows * fileRowSize) {
      throw new ShapeError({
        function: 'uploadWeight',
        argument: 'matrix.bytes',
        expected: `${rows * fileRowSize} bytes for ${format} [${rows}, ${columns}]`,
        got: bytes.byteLength,
      });
    }
    const rowSize = asFloats ? columns * 4 : fileRowSize;
    const sizeInBytes = this.#sizeOf(matrix, layout);
    const staged = Math.min(stagingSize, roomForProducts(heap.limitInBytes));
    const rowsAtOnce = Math.max(16, Math.floor(staged / Math.max(rowSize, 1) / 16) * 16);
    const target = heap.allocate(sizeInBytes);
    let staging: number | undefined;
    try {
      staging = heap.allocate(Math.min(rowsAtOnce, rows) * rowSize);
      kernels.takeWarning();
      for (let row = 0; row < rows; row += rowsAtOnce) {
        const count = Math.min(rowsAtOnce, rows - row);
        if (asFloats) {
          const decoded = new Float32Array(columns);
          for (let i = 0; i < count; i++) {
            matrix.dequantizeRow(row + i, decoded);
            memory.floats.set(decoded, (staging + i * rowSize) / 4);
          }
        } else {
          memory.bytes.set(bytes.subarray(row * rowSize, (row + count) * rowSize), staging);
        }
        const to = target + (row / 16) * (kernels.rowsSizeInBytes(layout, columns) >>> 0);
        const code = asFloats ? storedFormat('F32').code : stored.code;
        this.#machine.run('pack', count * columns, [code, layout, count, rowSize, columns, staging, to], bank);
        if (kernels.takeWarning() !== 0) {
          heap.free(target);
          return undefined;
        }
      }
    } catch (error) {
      heap.free(target);
      throw error;
    } finally {
      if (staging !== undefined) heap.free(staging);
    }
    return new WasmWeight(format, shape, layout, bank, target, sizeInBytes);
  }

  upload(tensor: FloatTensor): TensorHandle {
    return this.makeUploaded(tensor);
  }

  createCache(shape: { numLayers: number; numKeyValueHeads: number; headDim: number }): CacheHandle {
    const needed = this.#machine.kernels.attentionScratchSize(shape.headDim);
    if (needed > scratchSize) {
      throw new ArgumentError({
        function: 'createCache',
        argument: 'shape.headDim',
        expected: 'heads whose working memory fits, which is about 490 and less',
        got: shape.headDim,
      });
    }
    const cache = new WasmCache(this.#machine, shape, this.#kvCache);
    this.#live.add(cache);
    return cache;
  }

  truncateCache(cache: CacheHandle, length: number): void {
    this.cacheOf(cache, 'truncateCache').truncate(length);
  }

  async readCache(cache: CacheHandle, layer: number): Promise<{ keys: FloatTensor; values: FloatTensor }> {
    return readCache(this.#machine, this.cacheOf(cache, 'readCache'), layer);
  }

  free(handle: WeightHandle | TensorHandle | CacheHandle): void {
    this.expectLive(handle, 'free');
    this.release(handle);
  }

  beginStep(): Step {
    return new WasmStep(this, this.#machine, this.#activations);
  }

  async read(handle: TensorHandle): Promise<FloatTensor> {
    const { address, shape, size } = this.tensorOf(handle, 'read');
    return { data: this.#machine.floats.slice(address / 4, address / 4 + size), shape };
  }

  async readRouting(handle: RoutingHandle): Promise<ExpertRouting> {
    const { numTokens, expertsPerToken, experts, weights } = this.routingOf(handle, 'readRouting');
    return { numTokens, expertsPerToken, expertIds: experts.slice(), weights: weights.slice() };
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#live.clear();
    this.#weights.clear();
    await this.#machine.close();
  }

  liveHandles(): number {
    return this.#live.size;
  }

  usedMemoryInBytes(): number {
    return this.#machine.banks.reduce((sum, { heap }) => sum + heap.usedInBytes, 0);
  }

  weightSizeInBytes(matrix: Pick<WeightMatrix, 'format' | 'shape'>): number {
    return this.#sizeOf(matrix, storedFormat(matrix.format).layout);
  }

  streamWeights(): { sizeInBytes: number; elapsedMs: number } {
    const sinks = this.#machine.banks.map(({ heap }) => heap.allocate(8 * this.#machine.threads));
    let sizeInBytes = 0;
    const start = performance.now();
    for (const weight of this.#weights) {
      // Sizes are passed as int32.
      for (let from = 0; from < weight.sizeInBytes; from += 2 ** 30) {
        const size = Math.min(2 ** 30, weight.sizeInBytes - from);
        this.#machine.run('stream', size / 16, [weight.address + from, size, sinks[weight.bank]!], weight.bank);
        sizeInBytes += size;
      }
    }
    const elapsedMs = performance.now() - start;
    for (const [bank, sink] of sinks.entries()) this.#machine.banks[bank]!.heap.free(sink);
    return { sizeInBytes, elapsedMs };
  }

  // What steps use.

  make(shape: readonly number[]): WasmTensor {
    if (this.#disposed) throw new Phi3Error({ code: 'HANDLE_INVALID', function: 'upload', expected: 'a live backend' });
    const tensor = new WasmTensor(shape, this.#machine.heap.allocate(4 * sizeOfShape(shape)));
    this.#live.add(tensor);
    return tensor;
  }

  makeUploaded(tensor: FloatTensor): WasmTensor {
    const { data, shape } = tensor;
    if (sizeOfShape(shape) !== data.length) {
      throw new ShapeError({
        function: 'upload',
        argument: 'tensor',
        expected: `${sizeOfShape(shape)} elements for shape [${shape.join(', ')}]`,
        got: data.length,
      });
    }
    const made = this.make(createFloatTensor(data, shape).shape);
    this.#machine.floats.set(data, made.address / 4);
    return made;
  }

  adopt(routing: WasmRouting): WasmRouting {
    this.#live.add(routing);
    return routing;
  }

  isLive(handle: object): boolean {
    return this.#live.has(handle);
  }

  release(handle: object): void {
    if (!this.#live.delete(handle)) return;
    if (handle instanceof WasmTensor) this.#machine.heap.free(handle.address);
    else if (handle instanceof WasmCache) handle.free();
    else if (handle instanceof WasmWeight) {
      this.#weights.delete(handle);
      this.#machine.banks[handle.bank]!.heap.free(handle.address);
    }
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

  tensorOf(handle: TensorHandle, functionName: string): WasmTensor {
    this.expectLive(handle, functionName);
    return handle as WasmTensor;
  }

  weightOf(handle: WeightHandle, functionName: string): WasmWeight {
    this.expectLive(handle, functionName);
    return handle as WasmWeight;
  }

  cacheOf(handle: CacheHandle, functionName: string): WasmCache {
    this.expectLive(handle, functionName);
    return handle as WasmCache;
  }

  routingOf(handle: RoutingHandle, functionName: string): WasmRouting {
    this.expectLive(handle, functionName);
    return handle as WasmRouting;
  }
}

class WasmStep implements Step {
  readonly #backend: WasmBackendImplementation;
  readonly #machine: Machine;
  readonly #activations: 'q8' | 'f32';
  #temporaries: object[] = [];
  #ended = false;

  constructor(backend: WasmBackendImplementation, machine: Machine, activations: 'q8' | 'f32') {
    this.#backend = backend;
    this.#machine = machine;
    this.#activations = activations;
  }

  #make(...shape: number[]): WasmTensor {
    this.#expectOpen();
    const made = this.#backend.make(shape);
    this.#temporaries.push(made);
    return made;
  }

  #expectOpen(): void {
    if (!this.#ended) return;
    throw new Phi3Error({ code: 'STEP_ENDED', function: 'Step', expected: 'a step that has not ended' });
  }

  /** Work that is shared by rows: one row is not worth waking anybody. */
  #byRows(work: number, rows: number): number {
    return rows === 1 ? 0 : work;
  }

  /** Working memory of one operation, which is over when `use` returns. */
  #withScratch<Result>(sizeInBytes: number, use: (address: number) => Result, bank = 0): Result {
    const { heap } = this.#machine.banks[bank]!;
    const address = heap.allocate(sizeInBytes);
    try {
      return use(address);
    } finally {
      heap.free(address);
    }
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
    const out = this.#make(ids.length, columns);
    this.#intoBank(weight.bank, undefined, out, (_, to) => {
      const use = (at: number): void => {
        this.#machine.banks[weight.bank]!.ints.set(ids, at / 4);
        const values = [weight.address, weight.layout, columns, at, ids.length, to];
        this.#machine.run('embed', this.#byRows(16 * out.size, ids.length), values, weight.bank);
      };
      this.#withScratch(4 * ids.length, use, weight.bank);
    });
    return out;
  }

  /** Runs what has to happen in the memory where a weight lies: brings the input there, and the result back. */
  #intoBank(
    bank: number,
    input: WasmTensor | undefined,
    out: WasmTensor,
    use: (input: number, out: number) => void,
  ): void {
    if (bank === 0) {
      use(input?.address ?? 0, out.address);
      return;
    }
    const { floats } = this.#machine;
    const inputSize = input?.size ?? 0;
    const compute = (at: number): void => {
      const there = this.#machine.banks[bank]!;
      const to = at + Math.ceil((4 * inputSize + 64) / 64) * 64;
      if (input) there.floats.set(floats.subarray(input.address / 4, input.address / 4 + inputSize), at / 4);
      use(at, to);
      // `use` may have made the memory grow: the views are asked for again.
      const from = to / 4;
      this.#machine.floats.set(there.floats.subarray(from, from + out.size), out.address / 4);
    };
    this.#withScratch(4 * (inputSize + out.size) + 128, compute, bank);
  }

  rmsNorm(x: TensorHandle, weight: TensorHandle, epsilon: number): TensorHandle {
    const scale = this.#backend.tensorOf(weight, 'rmsNorm');
    const input = this.#backend.tensorOf(x, 'rmsNorm');
    expectHandleShape('rmsNorm', 'weight', scale, [null]);
    expectHandleShape('rmsNorm', 'x', input, [null, scale.shape[0]!]);
    const [tokens, size] = handleMatrixShape('rmsNorm', 'x', input);
    const out = this.#make(tokens, size);
    const values = [input.address, tokens, size, scale.address, this.#machine.bitsOf(epsilon), out.address];
    this.#machine.run('rmsNorm', this.#byRows(input.size, tokens), values);
    return out;
  }

  layerNorm(x: TensorHandle, weight: TensorHandle, bias: TensorHandle, epsilon: number): TensorHandle {
    const input = this.#backend.tensorOf(x, 'layerNorm');
    const scale = this.#backend.tensorOf(weight, 'layerNorm');
    const offset = this.#backend.tensorOf(bias, 'layerNorm');
    expectHandleShape('layerNorm', 'weight', scale, [null]);
    expectHandleShape('layerNorm', 'x', input, [null, scale.shape[0]!]);
    expectHandleShape('layerNorm', 'bias', offset, [scale.shape[0]!]);
    const [tokens, size] = handleMatrixShape('layerNorm', 'x', input);
    const out = this.#make(tokens, size);
    const addresses = [input.address, tokens, size, scale.address, offset.address];
    const values = [...addresses, this.#machine.bitsOf(epsilon), out.address];
    this.#machine.run('layerNorm', this.#byRows(input.size, tokens), values);
    return out;
  }

  linear(x: TensorHandle, weight: WeightHandle, bias?: TensorHandle): TensorHandle {
    return this.#linear('linear', x, weight, bias, this.#activations);
  }

  #linear(
    functionName: string,
    x: TensorHandle,
    weight: WeightHandle,
    bias: TensorHandle | undefined,
    activations: 'q8' | 'f32',
  ): WasmTensor {
    const input = this.#backend.tensorOf(x, functionName);
    const matrix = this.#backend.weightOf(weight, functionName);
    const [rows, columns] = matrix.shape;
    expectHandleShape(functionName, 'x', input, [null, columns]);
    const offsets = bias && this.#backend.tensorOf(bias, functionName);
    if (offsets) expectHandleShape(functionName, 'bias', offsets, [rows]);
    const tokens = input.shape[0]!;
    const out = this.#make(tokens, rows);
    if (tokens === 0) return out;
    const quantized = activations === 'q8' && matrix.layout >= layouts.nibbles;
    const perTile = tokens === 1 ? 1 : 4;
    const tiles = Math.ceil(tokens / perTile);
    const { bank } = matrix;
    this.#intoBank(bank, input, out, (x, y) => {
      const multiply = (from: number): void => {
        const flags = quantized ? 1 : 0;
        // A bias lies in the first memory; for a weight elsewhere it is added below.
        const bias = bank === 0 ? (offsets?.address ?? 0) : 0;
        const values = [matrix.address, matrix.layout, columns, rows, from, tokens, y, bias, flags, 0];
        this.#machine.run('linear', tokens * rows * columns, values, bank);
      };
      if (quantized) {
        const isNibbles = matrix.layout === layouts.nibbles || matrix.layout === layouts.nibblesWithOffset;
        const quads = isNibbles && this.#machine.simd === 'relaxed';
        const quantize = (at: number): void => {
          const values = [x, tokens, columns, at, perTile, quads ? 1 : 0];
          this.#machine.run('quantizeActivations', this.#byRows(input.size, tokens), values, bank);
          multiply(at);
        };
        this.#withScratch(tiles * (columns / 32) * activationGroupSize(perTile, quads), quantize, bank);
      } else if (perTile === 1) {
        multiply(x);
      } else {
        const interleave = (at: number): void => {
          this.#machine.run('interleaveActivations', input.size, [x, tokens, columns, at], bank);
          multiply(at);
        };
        this.#withScratch(tiles * columns * 16, interleave, bank);
      }
    });
    if (bank > 0 && offsets) {
      const { floats } = this.#machine;
      const [from, to] = [offsets.address / 4, out.address / 4];
      for (let i = 0; i < out.size; i++) floats[to + i] = floats[to + i]! + floats[from + (i % rows)]!;
    }
    return out;
  }

  add(a: TensorHandle, b: TensorHandle): TensorHandle {
    const left = this.#backend.tensorOf(a, 'add');
    const right = this.#backend.tensorOf(b, 'add');
    expectHandleShape('add', 'b', right, left.shape);
    const out = this.#make(...left.shape);
    this.#machine.run('add', left.size, [left.address, right.address, left.size, out.address]);
    return out;
  }

  multiply(x: TensorHandle, factor: number): TensorHandle {
    const input = this.#backend.tensorOf(x, 'multiply');
    const out = this.#make(...input.shape);
    this.#machine.run('multiply', input.size, [input.address, this.#machine.bitsOf(factor), input.size, out.address]);
    return out;
  }

  rows(x: TensorHandle, start: number, count: number): TensorHandle {
    const input = this.#backend.tensorOf(x, 'rows');
    const [tokens, width] = handleMatrixShape('rows', 'x', input);
    expectHandleRange('rows', start, count, tokens);
    const out = this.#make(count, width);
    const from = input.address + 4 * start * width;
    this.#machine.bytes.copyWithin(out.address, from, from + 4 * count * width);
    return out;
  }

  columns(x: TensorHandle, start: number, count: number): TensorHandle {
    const input = this.#backend.tensorOf(x, 'columns');
    const [tokens, width] = handleMatrixShape('columns', 'x', input);
    expectHandleRange('columns', start, count, width);
    const out = this.#make(tokens, count);
    this.#machine.run('copyColumns', this.#byRows(out.size / 4, tokens), [
      input.address,
      tokens,
      width,
      start,
      count,
      out.address,
    ]);
    return out;
  }

  rotate(heads: TensorHandle, rotary: RotaryHandle, headDim: number): TensorHandle {
    const input = this.#backend.tensorOf(heads, 'rotate');
    const numHeads = handleHeadCount('rotate', 'heads', input, headDim);
    const tokens = input.shape[0]!;
    const { cos, sin, half } = this.#rotary('rotate', rotary, tokens, headDim);
    const out = this.#make(...input.shape);
    const values = [input.address, tokens, numHeads, headDim, cos.address, sin.address, half, out.address];
    this.#machine.run('rotate', this.#byRows(input.size, tokens), values);
    return out;
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
    const stored = this.#backend.cacheOf(cache, 'appendToCache');
    const k = this.#backend.tensorOf(keys, 'appendToCache');
    const v = this.#backend.tensorOf(values, 'appendToCache');
    const { numKeyValueHeads: heads, headDim } = stored;
    const shape = k.shape.length === 3 ? [null, heads, headDim] : [null, heads * headDim];
    expectHandleShape('appendToCache', 'keys', k, shape);
    expectHandleShape('appendToCache', 'values', v, k.shape);
    const tokens = k.shape[0]!;
    const { table, start } = stored.append(layer, tokens);
    const format = cacheFormats[stored.format];
    const job = [table, format, heads, headDim, start, tokens, k.address, v.address];
    // A key is written to as many cache lines as it has components.
    this.#machine.run('appendToCache', 12 * k.size, job);
  }

  attention(queries: TensorHandle, cache: CacheHandle, layer: number, options: AttentionOptions): TensorHandle {
    const stored = this.#backend.cacheOf(cache, 'attention');
    const input = this.#backend.tensorOf(queries, 'attention');
    const heads = handleHeadCount('attention', 'queries', input, stored.headDim);
    const { numKeyValueHeads, headDim } = stored;
    if (heads % numKeyValueHeads !== 0) {
      throw new ShapeError({
        function: 'attention',
        argument: 'queries',
        expected: `heads in a multiple of ${numKeyValueHeads} key/value heads`,
        got: input.shape,
      });
    }
    const tokens = input.shape[0]!;
    const { table, length } = stored.stored('attention', layer);
    if (tokens > length) {
      throw new ShapeError({
        function: 'attention',
        argument: 'queries',
        expected: `at most ${length} tokens, as many as the cache has positions`,
        got: tokens,
      });
    }
    const { scale, slidingWindow = 0, blockSparse, keyRotation } = options;
    const rotary = keyRotation && this.#rotary('attention', keyRotation, length, headDim);
    const out = this.#make(...input.shape);
    this.#machine.run('attention', 2 * input.size * length, [
      input.address,
      out.address,
      tokens,
      heads,
      numKeyValueHeads,
      headDim,
      table,
      cacheFormats[stored.format],
      length - tokens,
      this.#machine.bitsOf(scale),
      1,
      length,
      slidingWindow,
      blockSparse?.blockSize ?? 0,
      blockSparse?.numLocalBlocks ?? 0,
      blockSparse?.verticalStride ?? 0,
      blockSparse?.headStep ?? 0,
      rotary?.cos.address ?? 0,
      rotary?.sin.address ?? 0,
      rotary?.half ?? 0,
      0,
    ]);
    return out;
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
    const [tokens, width] = handleMatrixShape('fullAttention', 'queries', input);
    const headDim = width / numHeads;
    handleHeadCount('fullAttention', 'queries', input, headDim);
    expectHandleShape('fullAttention', 'keys', k, [null, width]);
    expectHandleShape('fullAttention', 'values', v, k.shape);
    // The keys and values go through a cache of one layer in float32, which has the layout that the kernel wants.
    const passing = new WasmCache(this.#machine, { numLayers: 1, numKeyValueHeads: numHeads, headDim }, 'f32');
    try {
      const length = k.shape[0]!;
      const { table } = passing.append(0, length);
      const format = cacheFormats.f32;
      const job = [table, format, numHeads, headDim, 0, length, k.address, v.address];
      this.#machine.run('appendToCache', 4 * k.size, job);
      const out = this.#make(tokens, width);
      const [noWindow, dense, notCausal, unrotated, counter] = [0, [0, 0, 0, 0], 0, [0, 0, 0], 0];
      this.#machine.run('attention', 2 * input.size * length, [
        input.address,
        out.address,
        tokens,
        numHeads,
        numHeads,
        headDim,
        table,
        format,
        0,
        this.#machine.bitsOf(scale),
        notCausal,
        length,
        noWindow,
        ...dense,
        ...unrotated,
        counter,
      ]);
      return out;
    } finally {
      passing.free();
    }
  }

  gatedActivation(x: TensorHandle, kind: 'swiglu' | 'gegelu', limit = Number.POSITIVE_INFINITY): TensorHandle {
    const input = this.#backend.tensorOf(x, 'gatedActivation');
    const [tokens, width] = handleMatrixShape('gatedActivation', 'x', input);
    if (width % 2 !== 0) {
      const expected = 'an even width';
      throw new ShapeError({ function: 'gatedActivation', argument: 'x', expected, got: input.shape });
    }
    const out = this.#make(tokens, width / 2);
    const code = kind === 'gegelu' ? 1 : 0;
    const values = [input.address, tokens, width / 2, out.address, code, this.#machine.bitsOf(limit)];
    this.#machine.run('gatedActivation', 4 * input.size, values);
    return out;
  }

  activation(x: TensorHandle, kind: 'quickGelu' | 'gelu'): TensorHandle {
    const input = this.#backend.tensorOf(x, 'activation');
    const out = this.#make(...input.shape);
    const exact = kind === 'gelu' ? 1 : 0;
    this.#machine.run('activation', 8 * input.size, [input.address, input.size, out.address, exact]);
    return out;
  }

  routeExperts(
    x: TensorHandle,
    gate: WeightHandle,
    { expertsPerToken, jitterEpsilon }: { expertsPerToken: number; jitterEpsilon: number },
  ): RoutingHandle {
    const numExperts = this.#backend.weightOf(gate, 'routeExperts').shape[0];
    if (!(Number.isInteger(expertsPerToken) && expertsPerToken >= 1 && expertsPerToken <= numExperts)) {
      throw new ArgumentError({
        function: 'routeExperts',
        argument: 'options.expertsPerToken',
        expected: `a whole number from 1 to ${numExperts}`,
        got: expertsPerToken,
      });
    }
    // In float32 whatever the backend's activations: rounding them could send a token to another expert.
    const scores = this.#linear('routeExperts', x, gate, undefined, 'f32');
    const numTokens = scores.shape[0]!;
    const experts = new Int32Array(numTokens * expertsPerToken);
    const weights = new Float32Array(experts.length);
    for (let token = 0; token < numTokens; token++) {
      const from = scores.address / 4 + token * numExperts;
      const [first, last] = [token * expertsPerToken, (token + 1) * expertsPerToken];
      const tokenScores = this.#machine.floats.slice(from, from + numExperts);
      routeToken(tokenScores, jitterEpsilon, experts.subarray(first, last), weights.subarray(first, last));
    }
    const routing = this.#backend.adopt(new WasmRouting(numTokens, expertsPerToken, experts, weights));
    this.#temporaries.push(routing);
    return routing;
  }

  runExperts(x: TensorHandle, routing: RoutingHandle, experts: readonly (ExpertWeights | undefined)[]): TensorHandle {
    const input = this.#backend.tensorOf(x, 'runExperts');
    const { expertsPerToken, ...chosen } = this.#backend.routingOf(routing, 'runExperts');
    const [tokens, width] = handleMatrixShape('runExperts', 'x', input);
    if (chosen.experts.length !== tokens * expertsPerToken) {
      throw new ShapeError({
        function: 'runExperts',
        argument: 'routing',
        expected: `a routing of ${tokens} tokens`,
        got: chosen.experts.length / expertsPerToken,
      });
    }
    const out = this.#make(tokens, width);
    this.#machine.floats.fill(0, out.address / 4, out.address / 4 + out.size);
    const picksOf = new Map<number, number[]>();
    for (const [pick, index] of chosen.experts.entries()) {
      const picks = picksOf.get(index) ?? [];
      picks.push(pick);
      picksOf.set(index, picks);
    }
    for (const index of [...picksOf.keys()].sort((a, b) => a - b)) {
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
      this.#addExpert(input, expert, picksOf.get(index)!, expertsPerToken, chosen.weights, out);
    }
    return out;
  }

  #addExpert(
    input: WasmTensor,
    expert: ExpertWeights,
    picks: readonly number[],
    expertsPerToken: number,
    weights: Float32Array,
    out: WasmTensor,
  ): void {
    const width = input.shape[1]!;
    const tokensOfPicks = picks.map((pick) => Math.floor(pick / expertsPerToken));
    const rows = this.#make(picks.length, width);
    for (const [row, token] of tokensOfPicks.entries()) {
      const from = input.address + 4 * token * width;
      this.#machine.bytes.copyWithin(rows.address + 4 * row * width, from, from + 4 * width);
    }
    const gate = this.#linear('runExperts', rows, expert.w1, undefined, this.#activations);
    const up = this.#linear('runExperts', rows, expert.w3, undefined, this.#activations);
    const joined = this.#make(picks.length, 2 * gate.shape[1]!);
    const half = gate.shape[1]!;
    for (let row = 0; row < picks.length; row++) {
      const to = joined.address + 8 * row * half;
      this.#machine.bytes.copyWithin(to, gate.address + 4 * row * half, gate.address + 4 * (row + 1) * half);
      this.#machine.bytes.copyWithin(to + 4 * half, up.address + 4 * row * half, up.address + 4 * (row + 1) * half);
    }
    const gated = this.gatedActivation(joined, 'swiglu');
    const result = this.#linear('runExperts', gated, expert.w2, undefined, this.#activations);
    this.#withScratch(8 * picks.length, (at) => {
      this.#machine.ints.set(tokensOfPicks, at / 4);
      const weightsAt = at + 4 * picks.length;
      this.#machine.floats.set(
        picks.map((pick) => weights[pick]!),
        weightsAt / 4,
      );
      const job = [result.address, picks.length, width, at, weightsAt, out.address];
      this.#machine.run('addWeightedRows', result.size, job);
    });
    for (const temporary of [rows, gate, up, joined, gated, result]) this.#backend.release(temporary);
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
    const size = channels * patchSize * patchSize;
    const patches = this.#make((height / patchSize) * across, size);
    const { bytes } = this.#machine;
    let to = patches.address;
    for (let patch = 0; patch < patches.shape[0]!; patch++) {
      const top = Math.floor(patch / across) * patchSize;
      const left = (patch % across) * patchSize;
      for (let channel = 0; channel < channels; channel++) {
        for (let y = 0; y < patchSize; y++) {
          const from = image.address + 4 * ((channel * height + top + y) * width + left);
          bytes.copyWithin(to, from, from + 4 * patchSize);
          to += 4 * patchSize;
        }
      }
    }
    const out = this.#linear('patchEmbedding', patches, weight, undefined, this.#activations);
    this.#backend.release(patches);
    return out;
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
