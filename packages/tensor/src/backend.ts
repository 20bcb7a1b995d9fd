import type { FloatTensor } from './float-tensor.ts';
import type { WeightFormat, WeightMatrix } from './weight-matrix.ts';

// Shape letters: T new tokens, S tokens seen so far with the new ones, H query heads, K key/value heads, D headDim,
// R rotary dimension, C hidden size, I intermediate size.

/** Numbers held by a backend, in whatever form it likes. Only the backend that made a handle can read it. */
export interface TensorHandle {
  readonly shape: readonly number[];
}

/** A weight matrix held by a backend in the layout its kernels want; its values are those of the format it came in. */
export interface WeightHandle {
  readonly format: WeightFormat;
  /** `[out, in]` */
  readonly shape: readonly [rows: number, columns: number];
}

/** What a key/value cache must hold. */
export interface CacheShape {
  readonly numLayers: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
}

/** How a cache stores numbers: float32, float16, or int8 with a scale per position and head. */
export type CacheFormat = 'f32' | 'f16' | 'q8';

/** A key/value cache held by a backend: per layer the keys and values of every position so far. It grows by need. */
export interface CacheHandle extends CacheShape {
  /** Float32 where a backend does not say. */
  readonly format?: CacheFormat | undefined;
  /** Positions that are complete in every layer. Appended positions count only once a step has committed them. */
  readonly length: number;
  /** Bytes that the cache occupies now. */
  readonly sizeInBytes: number;
}

/** Cosines and sines of the positions of one step, both `[T, R/2]`, with the attention factor already in them. */
export interface RotaryHandle {
  readonly cos: TensorHandle;
  readonly sin: TensorHandle;
}

/** Which blocks of the past a head of a block-sparse layer sees; positions count in blocks of `blockSize` tokens. */
export interface BlockSparsePattern {
  readonly blockSize: number;
  /** How many blocks up to and with the query's own are always seen. */
  readonly numLocalBlocks: number;
  /** One block in `verticalStride` is seen over the whole past. */
  readonly verticalStride: number;
  /** How far the seen blocks move from head to head; 0 when all heads see the same. */
  readonly headStep: number;
}

/** How queries see the cache. Without `slidingWindow` and `blockSparse` the mask is plainly causal. */
export interface AttentionOptions {
  /** Multiplies query · key before the softmax. */
  readonly scale: number;
  /** A query at position i sees keys j with i - slidingWindow < j ≤ i. */
  readonly slidingWindow?: number | undefined;
  readonly blockSparse?: BlockSparsePattern | undefined;
  /** For a cache of unrotated keys: the rotation of all S positions, applied to the keys as they are read. */
  readonly keyRotation?: RotaryHandle | undefined;
}

/** The weights of one expert: `w2(silu(w1 x) ⊙ w3 x)`. */
export interface ExpertWeights {
  readonly w1: WeightHandle;
  readonly w2: WeightHandle;
  readonly w3: WeightHandle;
}

/** Which experts each token goes to and with what weight; held by the backend. */
export interface RoutingHandle {
  readonly numTokens: number;
  readonly expertsPerToken: number;
}

/** A routing, read back. */
export interface ExpertRouting {
  readonly numTokens: number;
  readonly expertsPerToken: number;
  /** `[T, expertsPerToken]`, first choice first. */
  readonly expertIds: Int32Array;
  /** `[T, expertsPerToken]`; they need not sum to 1. */
  readonly weights: Float32Array;
}

/**
 * The operations of a forward pass. Each enqueues and returns a handle at once; only {@link Backend.read}, `readRouting` and `readCache` bring numbers
 * back. So a forward pass is written without `await` between operations and serves a synchronous backend, a thread pool
 * and a GPU alike.
 *
 * Arguments are never written to. Shapes are checked where they meet; a mismatch throws `ShapeError`.
 */
export interface Operations {
  /** Numbers for this step only, for example the rotary table. Freed with the step. */
  upload(tensor: FloatTensor): TensorHandle;
  /** Rows of `table` `[V, C]` picked by `ids` → `[T, C]`. */
  embed(table: WeightHandle, ids: Int32Array): TensorHandle;
  /** `x / sqrt(mean(x²) + epsilon) · weight`, row by row: `[T, C]`, `[C]` → `[T, C]`. */
  rmsNorm(x: TensorHandle, weight: TensorHandle, epsilon: number): TensorHandle;
  /** `(x - mean) / sqrt(variance + epsilon) · weight + bias`, row by row, biased variance. */
  layerNorm(x: TensorHandle, weight: TensorHandle, bias: TensorHandle, epsilon: number): TensorHandle;
  /** `x · Wᵀ (+ bias)`: `[T, in]`, `[out, in]`, `[out]` → `[T, out]`. */
  linear(x: TensorHandle, weight: WeightHandle, bias?: TensorHandle): TensorHandle;
  /** Element by element; equal shapes. */
  add(a: TensorHandle, b: TensorHandle): TensorHandle;
  /** Every element times one number. */
  multiply(x: TensorHandle, factor: number): TensorHandle;
  /** Rows `start` to `start + count - 1`. */
  rows(x: TensorHandle, start: number, count: number): TensorHandle;
  /** Columns `start` to `start + count - 1` of every row: how a fused projection is split. */
  columns(x: TensorHandle, start: number, count: number): TensorHandle;
  /** Rotates heads of `headDim` by the positions of the step; components past the rotary dimension pass through. */
  rotate(heads: TensorHandle, rotary: RotaryHandle, headDim: number): TensorHandle;
  /** Writes keys and values `[T, K·D]` behind the committed positions of one layer. */
  appendToCache(cache: CacheHandle, layer: number, keys: TensorHandle, values: TensorHandle): void;
  /** Queries `[T, H·D]` over all positions of one layer of the cache, the appended ones included → `[T, H·D]`. */
  attention(queries: TensorHandle, cache: CacheHandle, layer: number, options: AttentionOptions): TensorHandle;
  /** Every query sees every key, without a cache: `[T, H·D]` three times → `[T, H·D]`. For the image encoder. */
  fullAttention(
    queries: TensorHandle,
    keys: TensorHandle,
    values: TensorHandle,
    options: { numHeads: number; scale: number },
  ): TensorHandle;
  /** `[T, 2·I]`, the gate in the first half, → `[T, I]`. `swiglu`: silu(gate) ⊙ up; `gegelu`: as Phi-3-small, clamped at `limit`. */
  gatedActivation(x: TensorHandle, kind: 'swiglu' | 'gegelu', limit?: number): TensorHandle;
  /** `quickGelu`: x · sigmoid(1.702 x), the image encoder's; `gelu`: the exact one, the projector's. */
  activation(x: TensorHandle, kind: 'quickGelu' | 'gelu'): TensorHandle;
  /** Sparse-mixer routing of `[T, C]` by a gate `[experts, C]`. */
  routeExperts(
    x: TensorHandle,
    gate: WeightHandle,
    options: { expertsPerToken: number; jitterEpsilon: number },
  ): RoutingHandle;
  /**
   * The weighted sum of the chosen experts' outputs. An expert that no token chose is not computed and may be missing from
   * the list, which is how a model whose experts do not fit into memory runs.
   */
  runExperts(x: TensorHandle, routing: RoutingHandle, experts: readonly (ExpertWeights | undefined)[]): TensorHandle;
  /** Non-overlapping patches of `[channels, height, width]` times `[C, channels · patchSize²]` → `[patches, C]`, row-major. */
  patchEmbedding(pixels: TensorHandle, weight: WeightHandle, patchSize: number): TensorHandle;
}

/** Operations whose results live until the step ends. */
export interface Step extends Operations {
  /** Counts `numTokens` appended positions as complete. */
  commit(cache: CacheHandle, numTokens: number): void;
  /**
   * Frees every handle of this step but these. A forward pass calls it after each layer, so that its memory is that of one
   * layer and not of all of them.
   */
  keepOnly(handles: readonly TensorHandle[]): void;
  /** Frees every handle made in this step. Reads must have finished. Calling it twice is harmless. */
  end(): void;
}

/** What really runs, for people and for tests. */
export interface BackendReport {
  readonly backend: string;
  readonly threads: number;
  /** The vector instructions in use, for example `none`, `simd`, `relaxed-simd`; for a GPU its adapter. */
  readonly acceleration: string;
  /** Which backend runs an operation, where it is not this one. */
  readonly fallbacks: Readonly<Record<string, string>>;
  /** Why something is off, in sentences. */
  readonly notes: readonly string[];
}

/**
 * A complete way to compute. A value that a caller passes in: there is no registry and no global.
 *
 * Weights, uploaded tensors and caches live until they are freed; what a step makes lives until the step ends.
 */
export interface Backend {
  readonly name: string;
  report(): BackendReport;
  uploadWeight(matrix: WeightMatrix): WeightHandle;
  upload(tensor: FloatTensor): TensorHandle;
  createCache(shape: CacheShape): CacheHandle;
  /** Forgets the positions from `length` on. */
  truncateCache(cache: CacheHandle, length: number): void;
  /**
   * The committed keys and values of one layer, each `[S, K·D]`, such that appending them to a cache of the same format stores
   * the same bits: how a session is saved. Absent where a backend cannot give them.
   */
  readCache?(cache: CacheHandle, layer: number): Promise<{ keys: FloatTensor; values: FloatTensor }>;
  /** Frees a weight, an uploaded tensor or a cache. Using it afterwards is an error. */
  free(handle: WeightHandle | TensorHandle | CacheHandle): void;
  beginStep(): Step;
  /** Brings numbers back. This, `readRouting` and `readCache` are the only operations that wait. */
  read(handle: TensorHandle): Promise<FloatTensor>;
  /** Brings a routing back, so that the weights of the chosen experts, and no others, can be loaded. */
  readRouting(routing: RoutingHandle): Promise<ExpertRouting>;
  /** Frees everything the backend holds. */
  dispose(): Promise<void>;
}
