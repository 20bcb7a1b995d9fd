import type {
  Backend,
  CacheHandle,
  ExpertWeights,
  Operations,
  Step,
  TensorHandle,
  WeightHandle,
} from '@phiblocks/tensor';
import { LazyMatrix, LazyVector, type WeightStore } from './lazy-weights.ts';

/** One operation of a forward pass, as it happened. */
export interface Call {
  readonly operation: keyof Operations;
  /** The checkpoint key of the weight, where the operation has one. */
  readonly key: string | undefined;
  /** How often the operation was called in this part before. */
  readonly count: number;
  /** Which columns a slice takes. */
  readonly start?: number;
}

/** Sees each result and may give another in its place: how a block is fed what the definition says. */
export type Tap = (call: Call, output: TensorHandle, step: Step) => TensorHandle;

/** A cache of one layer serves whichever layer runs. */
const layerOf = (cache: CacheHandle, layer: number): number => (cache.numLayers === 1 ? 0 : layer);

const keyOf = (handle: unknown): string | undefined =>
  handle instanceof LazyMatrix || handle instanceof LazyVector ? handle.key : undefined;

/**
 * A backend that finds weights in a store, leaves committing to whoever runs the parts of a model one after another, and
 * shows every result to a tap.
 */
export function createPartBackend(inner: Backend, store: WeightStore, tap: () => Tap | undefined): Backend {
  function beginStep(): Step {
    const step = inner.beginStep();
    const counts = new Map<string, number>();

    function shown(operation: keyof Operations, weight: unknown, output: TensorHandle, start?: number): TensorHandle {
      const seen = tap();
      if (!seen) return output;
      const count = counts.get(operation) ?? 0;
      counts.set(operation, count + 1);
      return seen({ operation, key: keyOf(weight), count, ...(start === undefined ? {} : { start }) }, output, step);
    }
    const weightOf = (handle: WeightHandle): WeightHandle => store.resolve(handle);
    const tensorOf = (handle: TensorHandle): TensorHandle => store.resolve(handle);
    const isEmpty = (x: TensorHandle): boolean => x.shape[0] === 0;

    const operations: Partial<Step> = {
      upload: (tensor) => shown('upload', undefined, step.upload(tensor)),
      embed: (table, ids) => shown('embed', table, step.embed(weightOf(table), ids)),
      // Without rows there is nothing to compute, and the weights need not be there.
      rmsNorm: (x, weight, epsilon) =>
        isEmpty(x) ? x : shown('rmsNorm', weight, step.rmsNorm(x, tensorOf(weight), epsilon)),
      layerNorm: (x, weight, bias, epsilon) =>
        isEmpty(x) ? x : shown('layerNorm', weight, step.layerNorm(x, tensorOf(weight), tensorOf(bias), epsilon)),
      linear: (x, weight, bias) =>
        isEmpty(x) ? x : shown('linear', weight, step.linear(x, weightOf(weight), bias && tensorOf(bias))),
      add: (a, b) => shown('add', b, step.add(tensorOf(a), tensorOf(b))),
      multiply: (x, factor) => (isEmpty(x) ? x : shown('multiply', undefined, step.multiply(x, factor))),
      columns: (x, start, count) => shown('columns', undefined, step.columns(x, start, count), start),
      rotate: (heads, rotary, headDim) => shown('rotate', undefined, step.rotate(heads, rotary, headDim)),
      appendToCache: (cache, layer, keys, values) => step.appendToCache(cache, layerOf(cache, layer), keys, values),
      attention: (queries, cache, layer, options) =>
        shown('attention', undefined, step.attention(queries, cache, layerOf(cache, layer), options)),
      fullAttention: (queries, keys, values, options) =>
        shown('fullAttention', undefined, step.fullAttention(queries, keys, values, options)),
      gatedActivation: (x, kind, limit) => shown('gatedActivation', undefined, step.gatedActivation(x, kind, limit)),
      activation: (x, kind) => shown('activation', undefined, step.activation(x, kind)),
      routeExperts: (x, gate, options) => step.routeExperts(x, weightOf(gate), options),
      runExperts: (x, routing, experts) =>
        shown(
          'runExperts',
          undefined,
          step.runExperts(
            x,
            routing,
            experts.map(
              (expert): ExpertWeights | undefined =>
                expert && { w1: weightOf(expert.w1), w2: weightOf(expert.w2), w3: weightOf(expert.w3) },
            ),
          ),
        ),
      patchEmbedding: (pixels, weight, patchSize) =>
        shown('patchEmbedding', weight, step.patchEmbedding(pixels, weightOf(weight), patchSize)),
      commit() {},
    };
    return delegate(step, operations);
  }
  return delegate(inner, { beginStep });
}

/** An object that answers with `overrides` where they have a name, and with `target` elsewhere, whatever class it is of. */
export function delegate<Target extends object>(target: Target, overrides: Partial<Target>): Target {
  return new Proxy(target, {
    get(object, name) {
      if (Object.hasOwn(overrides, name)) return Reflect.get(overrides, name);
      const value = Reflect.get(object, name, object);
      return typeof value === 'function' ? value.bind(object) : value;
    },
  });
}
