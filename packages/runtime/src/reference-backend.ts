import { blockSparseAttention } from '@phiblocks/block-sparse-attention';
import { createKvCache, groupedQueryAttention, type KvCache } from '@phiblocks/gqa';
import { applyRotary } from '@phiblocks/longrope';
import {
  combineExperts,
  groupTokensByExpert,
  routeSparseMixer,
  type SparseMixerRouting,
} from '@phiblocks/mixture-of-experts';
import {
  type Backend,
  type CacheHandle,
  type CacheShape,
  expectShape,
  type FloatTensor,
  Phi3Error,
  type RotaryHandle,
  type RoutingHandle,
  ShapeError,
  type Step,
  sizeOfShape,
  type TensorHandle,
  type WeightHandle,
  type WeightMatrix,
} from '@phiblocks/tensor';
import { gatedActivationRows, gelu, quickGelu } from './reference/activations.ts';
import { linearRows } from './reference/linear.ts';
import { layerNormRows, rmsNormRows } from './reference/norms.ts';
import { unfoldPatches } from './reference/patch-embedding.ts';

/** How much the reference backend holds; for leak tests and memory figures. */
export interface ReferenceBackend extends Backend {
  /** Handles that were made and not freed: weights, tensors, caches, and temporaries of steps that have not ended. */
  liveHandles(): number;
  /** The bytes of what it holds. What an operation needs while it runs is not counted. */
  memory(): ReferenceMemory;
}

export interface ReferenceMemory {
  /** Weights in their stored format, and tensors that were uploaded to stay. */
  readonly weightsInBytes: number;
  readonly cachesInBytes: number;
  /** Temporaries of the steps that have not ended. */
  readonly temporariesInBytes: number;
  /** The most that temporaries ever were. */
  readonly peakTemporariesInBytes: number;
}

/**
 * The reference backend: the blocks themselves, in plain TypeScript on one thread. It is complete, always present, and the
 * judge of every other backend.
 *
 * Sums run in float64 and are rounded to float32 when stored. Weights of every format are decoded row by row as they are
 * used, so a quantized checkpoint occupies no more memory than its file.
 *
 * @example
 * const backend = createReferenceBackend();
 * const step = backend.beginStep();
 * const doubled = step.multiply(step.upload({ data: new Float32Array([1, 2]), shape: [1, 2] }), 2);
 * (await backend.read(doubled)).data; // => [2, 4]
 * step.end();
 */
export function createReferenceBackend(): ReferenceBackend {
  // Every handle that may be used. A handle outside is either freed or another backend's; both are errors.
  const live = new Set<object>();

  let temporariesInBytes = 0;
  let peakTemporariesInBytes = 0;

  function keep<Handle extends object>(handle: Handle): Handle {
    live.add(handle);
    return handle;
  }

  function expectLive(handle: object, functionName: string): void {
    if (!live.has(handle)) {
      throw new Phi3Error({
        code: 'HANDLE_INVALID',
        function: functionName,
        expected: 'a handle of this backend that has not been freed',
        got: handle,
      });
    }
  }

  function valuesOf(handle: TensorHandle, functionName: string): FloatTensor {
    expectLive(handle, functionName);
    return handle as ReferenceTensor;
  }

  function matrixOf(handle: WeightHandle, functionName: string): WeightMatrix {
    expectLive(handle, functionName);
    return (handle as ReferenceWeight).matrix;
  }

  function cacheOf(handle: CacheHandle, functionName: string): KvCache {
    expectLive(handle, functionName);
    return (handle as ReferenceCache).cache;
  }

  function beginStep(): Step {
    let temporaries: object[] = [];
    let ended = false;

    function make(data: Float32Array, shape: readonly number[]): TensorHandle {
      if (ended) throw new Phi3Error({ code: 'STEP_ENDED', function: 'Step', expected: 'a step that has not ended' });
      const handle = keep<TensorHandle>({ data, shape } as ReferenceTensor);
      temporaries.push(handle);
      temporariesInBytes += data.byteLength;
      peakTemporariesInBytes = Math.max(peakTemporariesInBytes, temporariesInBytes);
      return handle;
    }

    function forget(handle: object): void {
      live.delete(handle);
      if ('data' in handle) temporariesInBytes -= (handle as ReferenceTensor).data.byteLength;
    }

    function linear(x: TensorHandle, weight: WeightHandle, bias?: TensorHandle): TensorHandle {
      const input = valuesOf(x, 'linear');
      const matrix = matrixOf(weight, 'linear');
      const [rows, columns] = matrix.shape;
      expectShape(input, [null, columns], { function: 'linear', argument: 'x' });
      const offsets = bias && valuesOf(bias, 'linear');
      if (offsets) expectShape(offsets, [rows], { function: 'linear', argument: 'bias' });
      return make(linearRows(input.data, matrix, offsets?.data), [input.shape[0]!, rows]);
    }

    function gatedActivation(x: TensorHandle, kind: 'swiglu' | 'gegelu', limit?: number): TensorHandle {
      const input = valuesOf(x, 'gatedActivation');
      const [tokens, width] = matrixShape(input, 'gatedActivation', 'x');
      if (width % 2 !== 0) {
        throw new ShapeError({
          function: 'gatedActivation',
          argument: 'x',
          expected: 'an even width',
          got: input.shape,
        });
      }
      return make(gatedActivationRows(input.data, width / 2, kind, limit), [tokens, width / 2]);
    }

    return {
      upload(tensor) {
        expectShape(tensor, tensor.shape, { function: 'upload', argument: 'tensor' });
        return make(tensor.data, tensor.shape);
      },

      embed(table, ids) {
        const matrix = matrixOf(table, 'embed');
        const [rows, columns] = matrix.shape;
        const out = new Float32Array(ids.length * columns);
        for (let token = 0; token < ids.length; token++) {
          const id = ids[token]!;
          if (id < 0 || id >= rows) {
            throw new Phi3Error({
              code: 'TOKEN_ID_RANGE',
              function: 'embed',
              argument: `ids[${token}]`,
              expected: `an id from 0 to ${rows - 1}`,
              got: id,
            });
          }
          matrix.dequantizeRow(id, out.subarray(token * columns, (token + 1) * columns));
        }
        return make(out, [ids.length, columns]);
      },

      rmsNorm(x, weight, epsilon) {
        const input = valuesOf(x, 'rmsNorm');
        const scale = valuesOf(weight, 'rmsNorm');
        expectShape(input, [null, scale.data.length], { function: 'rmsNorm', argument: 'x' });
        return make(rmsNormRows(input.data, scale.data, epsilon), input.shape);
      },

      layerNorm(x, weight, bias, epsilon) {
        const input = valuesOf(x, 'layerNorm');
        const scale = valuesOf(weight, 'layerNorm');
        const offset = valuesOf(bias, 'layerNorm');
        expectShape(input, [null, scale.data.length], { function: 'layerNorm', argument: 'x' });
        expectShape(offset, [scale.data.length], { function: 'layerNorm', argument: 'bias' });
        return make(layerNormRows(input.data, scale.data, offset.data, epsilon), input.shape);
      },

      linear,

      add(a, b) {
        const left = valuesOf(a, 'add');
        const right = valuesOf(b, 'add');
        expectShape(right, left.shape, { function: 'add', argument: 'b' });
        const out = new Float32Array(left.data.length);
        for (let i = 0; i < out.length; i++) out[i] = left.data[i]! + right.data[i]!;
        return make(out, left.shape);
      },

      multiply(x, factor) {
        const input = valuesOf(x, 'multiply');
        const out = new Float32Array(input.data.length);
        for (let i = 0; i < out.length; i++) out[i] = input.data[i]! * factor;
        return make(out, input.shape);
      },

      rows(x, start, count) {
        const input = valuesOf(x, 'rows');
        const [tokens, width] = matrixShape(input, 'rows', 'x');
        expectSlice('rows', start, count, tokens);
        return make(input.data.slice(start * width, (start + count) * width), [count, width]);
      },

      columns(x, start, count) {
        const input = valuesOf(x, 'columns');
        const [tokens, width] = matrixShape(input, 'columns', 'x');
        expectSlice('columns', start, count, width);
        const out = new Float32Array(tokens * count);
        for (let token = 0; token < tokens; token++) {
          const from = token * width + start;
          out.set(input.data.subarray(from, from + count), token * count);
        }
        return make(out, [tokens, count]);
      },

      rotate(heads, rotary, headDim) {
        const input = valuesOf(heads, 'rotate');
        const table = { cos: valuesOf(rotary.cos, 'rotate'), sin: valuesOf(rotary.sin, 'rotate') };
        return make(applyRotary(splitHeads(input, headDim, 'rotate'), table).data, input.shape);
      },

      appendToCache(cache, layer, keys, values) {
        cacheOf(cache, 'appendToCache').append(
          layer,
          valuesOf(keys, 'appendToCache'),
          valuesOf(values, 'appendToCache'),
        );
      },

      attention(queries, cache, layer, options) {
        const stored = cacheOf(cache, 'attention');
        const input = valuesOf(queries, 'attention');
        const heads = splitHeads(input, stored.headDim, 'attention');
        const keys = rotatedKeys(stored.keys(layer), options.keyRotation);
        const common = { queries: heads, keys, values: stored.values(layer), scale: options.scale };
        const attended = options.blockSparse
          ? blockSparseAttention({ ...common, pattern: options.blockSparse })
          : groupedQueryAttention({ ...common, slidingWindow: options.slidingWindow });
        return make(attended.data, input.shape);
      },

      fullAttention(queries, keys, values, { numHeads, scale }) {
        const input = valuesOf(queries, 'fullAttention');
        const [, width] = matrixShape(input, 'fullAttention', 'queries');
        const headDim = width / numHeads;
        const heads = splitHeads(input, headDim, 'fullAttention');
        const allKeys = splitHeads(valuesOf(keys, 'fullAttention'), headDim, 'fullAttention');
        const allValues = splitHeads(valuesOf(values, 'fullAttention'), headDim, 'fullAttention');
        const out = new Float32Array(input.data.length);
        for (let token = 0; token < heads.shape[0]!; token++) {
          // A query that stands at the last position sees every key.
          const rowOf = (data: Float32Array) => ({
            data: data.subarray(token * width, (token + 1) * width),
            shape: [1, numHeads, headDim],
          });
          groupedQueryAttention({
            queries: rowOf(heads.data),
            keys: allKeys,
            values: allValues,
            scale,
            queryStart: allKeys.shape[0]! - 1,
            out: rowOf(out),
          });
        }
        return make(out, input.shape);
      },

      gatedActivation,

      activation(x, kind) {
        const input = valuesOf(x, 'activation');
        return make(input.data.map(kind === 'quickGelu' ? quickGelu : gelu), input.shape);
      },

      routeExperts(x, gate, { expertsPerToken, jitterEpsilon }) {
        const scores = valuesOf(linear(x, gate), 'routeExperts');
        const routing = routeSparseMixer(scores, { expertsPerToken, jitterEpsilon });
        const handle = keep<RoutingHandle>({
          numTokens: scores.shape[0]!,
          expertsPerToken,
          routing,
        } as ReferenceRouting);
        temporaries.push(handle);
        return handle;
      },

      runExperts(x, routing, experts) {
        expectLive(routing, 'runExperts');
        const input = valuesOf(x, 'runExperts');
        const [tokens, width] = matrixShape(input, 'runExperts', 'x');
        const out = new Float32Array(tokens * width);
        for (const group of groupTokensByExpert((routing as ReferenceRouting).routing)) {
          const chosen = new Float32Array(group.tokens.length * width);
          for (const [index, token] of group.tokens.entries()) {
            chosen.set(input.data.subarray(token * width, (token + 1) * width), index * width);
          }
          const expert = experts[group.expert];
          if (!expert) {
            throw new Phi3Error({
              code: 'EXPERT_MISSING',
              function: 'runExperts',
              argument: `experts[${group.expert}]`,
              expected: 'the weights of every expert that a token chose',
              got: expert,
            });
          }
          const { w1, w2, w3 } = expert;
          const gate = linearRows(chosen, matrixOf(w1, 'runExperts'));
          const up = linearRows(chosen, matrixOf(w3, 'runExperts'));
          for (let i = 0; i < gate.length; i++) up[i] = (gate[i]! / (1 + Math.exp(-gate[i]!))) * up[i]!;
          combineExperts(out, linearRows(up, matrixOf(w2, 'runExperts')), group);
        }
        return make(out, input.shape);
      },

      patchEmbedding(pixels, weight, patchSize) {
        const image = valuesOf(pixels, 'patchEmbedding');
        expectShape(image, [null, null, null], { function: 'patchEmbedding', argument: 'pixels' });
        const [channels, height, width] = image.shape as [number, number, number];
        if (height % patchSize !== 0 || width % patchSize !== 0) {
          throw new ShapeError({
            function: 'patchEmbedding',
            argument: 'pixels',
            expected: `height and width in multiples of ${patchSize}`,
            got: image.shape,
          });
        }
        const patches = unfoldPatches(image.data, [channels, height, width], patchSize);
        const size = channels * patchSize * patchSize;
        return linear(make(patches, [patches.length / size, size]), weight);
      },

      commit(cache, numTokens) {
        cacheOf(cache, 'commit').commit(numTokens);
      },

      keepOnly(handles) {
        const kept = new Set<object>(handles);
        for (const handle of temporaries) if (!kept.has(handle)) forget(handle);
        temporaries = temporaries.filter((handle) => kept.has(handle));
      },

      end() {
        ended = true;
        for (const handle of temporaries) forget(handle);
        temporaries = [];
      },
    };
  }

  return {
    name: 'reference',
    report: () => ({ backend: 'reference', threads: 1, acceleration: 'none', fallbacks: {}, notes: [] }),
    uploadWeight: (matrix) =>
      keep<WeightHandle>({ format: matrix.format, shape: matrix.shape, matrix } as ReferenceWeight),
    upload(tensor) {
      expectShape(tensor, tensor.shape, { function: 'upload', argument: 'tensor' });
      return keep<TensorHandle>({ data: tensor.data, shape: tensor.shape } as ReferenceTensor);
    },
    createCache: (shape) => keep<CacheHandle>(new ReferenceCache(shape)),
    truncateCache: (cache, length) => cacheOf(cache, 'truncateCache').truncate(length),
    free(handle) {
      expectLive(handle, 'free');
      live.delete(handle);
    },
    beginStep,
    async read(handle) {
      const { data, shape } = valuesOf(handle, 'read');
      return { data: data.slice(), shape };
    },
    async readRouting(handle) {
      expectLive(handle, 'readRouting');
      const { numTokens, expertsPerToken, expertIds, weights } = (handle as ReferenceRouting).routing;
      return { numTokens, expertsPerToken, expertIds: expertIds.slice(), weights: weights.slice() };
    },
    async readCache(cache, layer) {
      const stored = cacheOf(cache, 'readCache');
      const width = stored.numKeyValueHeads * stored.headDim;
      const committed = ({ data }: FloatTensor) => ({
        data: data.slice(0, stored.length * width),
        shape: [stored.length, width],
      });
      return { keys: committed(stored.keys(layer)), values: committed(stored.values(layer)) };
    },
    async dispose() {
      live.clear();
    },
    liveHandles: () => live.size,
    memory() {
      let weightsInBytes = -temporariesInBytes;
      let cachesInBytes = 0;
      for (const handle of live) {
        if (handle instanceof ReferenceCache) cachesInBytes += handle.sizeInBytes;
        else if ('matrix' in handle) weightsInBytes += (handle as ReferenceWeight).matrix.bytes.byteLength;
        else if ('data' in handle) weightsInBytes += (handle as ReferenceTensor).data.byteLength;
      }
      return { weightsInBytes, cachesInBytes, temporariesInBytes, peakTemporariesInBytes };
    },
  };
}

// The handles of this backend. Callers see only the types of the contract.

interface ReferenceTensor extends TensorHandle {
  readonly data: Float32Array;
}

interface ReferenceWeight extends WeightHandle {
  readonly matrix: WeightMatrix;
}

interface ReferenceRouting extends RoutingHandle {
  readonly routing: SparseMixerRouting;
}

class ReferenceCache implements CacheHandle {
  readonly cache: KvCache;

  constructor(shape: CacheShape) {
    this.cache = createKvCache(shape);
  }

  get numLayers(): number {
    return this.cache.numLayers;
  }
  get numKeyValueHeads(): number {
    return this.cache.numKeyValueHeads;
  }
  get headDim(): number {
    return this.cache.headDim;
  }
  get length(): number {
    return this.cache.length;
  }
  get sizeInBytes(): number {
    return this.cache.sizeInBytes;
  }
}

function matrixShape(tensor: FloatTensor, functionName: string, argument: string): [number, number] {
  expectShape(tensor, [null, null], { function: functionName, argument });
  return [tensor.shape[0]!, tensor.shape[1]!];
}

/** `[T, heads · D]` seen as `[T, heads, D]`; the numbers stay where they are. */
function splitHeads(tensor: FloatTensor, headDim: number, functionName: string): FloatTensor {
  const [tokens, width] = matrixShape(tensor, functionName, 'heads');
  if (!(headDim > 0) || width % headDim !== 0) {
    throw new ShapeError({
      function: functionName,
      argument: 'heads',
      expected: `a width that is a multiple of headDim ${headDim}`,
      got: tensor.shape,
    });
  }
  return { data: tensor.data, shape: [tokens, width / headDim, headDim] };
}

function expectSlice(functionName: string, start: number, count: number, limit: number): void {
  const whole = Number.isInteger(start) && Number.isInteger(count);
  if (!whole || start < 0 || count < 0 || start + count > limit) {
    throw new ShapeError({
      function: functionName,
      argument: 'start, count',
      expected: `a range inside 0 to ${limit}`,
      got: [start, count],
    });
  }
}

/** Keys of a cache that stores them unrotated, rotated for this read. */
function rotatedKeys(keys: FloatTensor, rotary: RotaryHandle | undefined): FloatTensor {
  if (!rotary) return keys;
  const table = { cos: rotary.cos as ReferenceTensor, sin: rotary.sin as ReferenceTensor };
  return applyRotary({ data: keys.data.slice(0, sizeOfShape(keys.shape)), shape: keys.shape }, table);
}
