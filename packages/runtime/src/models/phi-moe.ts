import { createRotaryTable, type RotaryConfig } from '@phiblocks/longrope';
import type { Backend, CacheHandle, FloatTensor, RotaryHandle, TensorHandle, WeightHandle } from '@phiblocks/tensor';
import type { PhiMoeConfig } from '@phiblocks/weights';
import type { AttentionInput, SelfAttention } from './attention-input.ts';
import type { Biased, MaybeBiased } from './biased.ts';
import type { Experts } from './experts.ts';
import { createObserver, type ForwardOptions } from './forward-options.ts';

// Phi-3.5-MoE.
// Source: huggingface/transformers `modeling_phimoe.py`; GRIN, arXiv:2409.12136.
// Shape letters: T new tokens, S tokens seen so far, H query heads, K key/value heads, D headDim, C hiddenSize,
// I intermediateSize of one expert, V vocabSize.

export interface PhiMoeLayer {
  readonly inputLayernorm: Biased<TensorHandle>; // [C]
  readonly qProj: MaybeBiased<WeightHandle>; // [H·D, C]
  readonly kProj: MaybeBiased<WeightHandle>; // [K·D, C]
  readonly vProj: MaybeBiased<WeightHandle>; // [K·D, C]
  readonly oProj: MaybeBiased<WeightHandle>; // [C, H·D]
  readonly postAttentionLayernorm: Biased<TensorHandle>; // [C]
  readonly gate: WeightHandle; // [experts, C]
}

export interface PhiMoeWeights {
  readonly embedTokens: WeightHandle; // [V, C]
  readonly layers: readonly PhiMoeLayer[];
  readonly norm: Biased<TensorHandle>; // [C]
  readonly lmHead: MaybeBiased<WeightHandle>; // [V, C]
}

export interface PhiMoe {
  readonly config: PhiMoeConfig;
  readonly rotary: RotaryConfig;
  readonly weights: PhiMoeWeights;
  /** Apart from the other weights, because they may be read while the model runs. */
  readonly experts: Experts;
  readonly backend: Backend;
  readonly selfAttention: PhiMoeSelfAttention;
}

/** What a self-attention gets. To try another attention, give {@link createPhiMoe} another function of this type. */
export type PhiMoeAttentionInput = AttentionInput<PhiMoeConfig, PhiMoeLayer>;

/** `[T, C]` in, `[T, C]` out; appends the keys and values of the new tokens to the cache. */
export type PhiMoeSelfAttention = SelfAttention<PhiMoeConfig, PhiMoeLayer>;

/** Grouped-query attention, dense, as published. */
export const phiMoeSelfAttention: PhiMoeSelfAttention = (ops, { config, layer, index, observe, ...input }) => {
  const { headDim, slidingWindow } = config;
  const project = ({ weight, bias }: MaybeBiased<WeightHandle>) => ops.linear(input.hidden, weight, bias);

  const queries = ops.rotate(project(layer.qProj), input.rotary, headDim); //                   [T, H·D]
  const unrotated = project(layer.kProj); //                                                    [T, K·D]
  const keys = input.keyRotation ? unrotated : ops.rotate(unrotated, input.rotary, headDim); // [T, K·D]
  const values = project(layer.vProj); //                                                       [T, K·D]
  observe(`layers.${index}.queries`, queries);
  observe(`layers.${index}.keys`, keys);

  ops.appendToCache(input.cache, index, keys, values);
  const attended = ops.attention(queries, input.cache, index, {
    scale: 1 / Math.sqrt(headDim),
    slidingWindow,
    keyRotation: input.keyRotation,
  }); //                                                                                        [T, H·D]
  return ops.linear(observe(`layers.${index}.attention`, attended), layer.oProj.weight, layer.oProj.bias); // [T, C]
};

/**
 * One forward pass: `ids` follow the positions that `cache` holds, and are in it afterwards. Where the pass is stopped
 * half-way, the cache is as it was.
 *
 * @param model - the configuration, its angles, the weights on a backend, the experts, and the self-attention
 * @param ids - `[T]`, token ids below V
 * @param cache - one of `model.backend` with the layers of the model
 * @param options - which rows of logits to compute, the list of LongRoPE factors, and what to observe
 * @returns logits `[rows, V]` for the rows asked for
 */
export async function forwardPhiMoe(
  { config, rotary: rope, weights, experts, backend, selfAttention }: PhiMoe,
  ids: Int32Array,
  cache: CacheHandle,
  { logits, factorList: list, rotateOnRead, betweenLayers, onTensor, onRouting }: ForwardOptions,
): Promise<FloatTensor> {
  // Trap: named so in the configuration, and yet the norms are LayerNorms.
  const epsilon = config.rmsNormEps;
  const routingOptions = { expertsPerToken: config.numExpertsPerTok, jitterEpsilon: config.routerJitterNoise };
  const { observe, observeRouting, settled } = createObserver(onTensor, onRouting);
  const ops = backend.beginStep();
  try {
    const rotaryOf = (start: number, length: number): RotaryHandle => {
      const { cos, sin } = createRotaryTable(rope, { start, length, list });
      return { cos: ops.upload(cos), sin: ops.upload(sin) }; //                                   [length, R/2]
    };
    const rotary = rotaryOf(cache.length, ids.length);
    const keyRotation = rotateOnRead ? rotaryOf(0, cache.length + ids.length) : undefined;
    const tables = [rotary, keyRotation].flatMap((table) => (table ? [table.cos, table.sin] : []));

    let hidden = observe('hidden.0', ops.embed(weights.embedTokens, ids)); //                     [T, C]
    for (const [index, layer] of weights.layers.entries()) {
      await betweenLayers?.();
      const { inputLayernorm: norm1, postAttentionLayernorm: norm2 } = layer;
      const normed = ops.layerNorm(hidden, norm1.weight, norm1.bias, epsilon); //                 [T, C]
      observe(`layers.${index}.inputLayernorm`, normed);
      const input = { config, layer, index, rotary, keyRotation, cache, hidden: normed, observe };
      const attended = observe(`layers.${index}.oProj`, selfAttention(ops, input)); //            [T, C]
      hidden = ops.add(hidden, attended);

      await betweenLayers?.();
      const normedAgain = ops.layerNorm(hidden, norm2.weight, norm2.bias, epsilon); //            [T, C]
      observe(`layers.${index}.postAttentionLayernorm`, normedAgain);
      const routing = observeRouting(
        `layers.${index}.routing`,
        ops.routeExperts(normedAgain, layer.gate, routingOptions),
      );
      const mixed = await experts.use(index, routing, (ofLayer) => ops.runExperts(normedAgain, routing, ofLayer));
      hidden = ops.add(hidden, observe(`layers.${index}.experts`, mixed)); //                     [T, C]
      observe(`hidden.${index + 1}`, hidden);
      await settled();
      ops.keepOnly([hidden, ...tables]);
    }
    ops.commit(cache, ids.length);

    const count = logits === 'all' ? ids.length : logits === 'last' ? 1 : 0;
    const wanted = ops.rows(hidden, ids.length - count, count); //                                [rows, C]
    const normed = observe('finalNorm', ops.layerNorm(wanted, weights.norm.weight, weights.norm.bias, epsilon));
    const result = await backend.read(ops.linear(normed, weights.lmHead.weight, weights.lmHead.bias)); // [rows, V]
    await settled();
    return result;
  } finally {
    ops.end();
  }
}
