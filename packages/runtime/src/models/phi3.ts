import { createRotaryTable, type RotaryConfig } from '@phiblocks/longrope';
import type { Backend, CacheHandle, FloatTensor, RotaryHandle, TensorHandle, WeightHandle } from '@phiblocks/tensor';
import type { Phi3Config, Phi3VisionConfig } from '@phiblocks/weights';
import type { AttentionInput, SelfAttention } from './attention-input.ts';
import { createObserver, type ForwardOptions } from './forward-options.ts';

// Phi-3-mini, Phi-3-medium, Phi-3.5-mini (and the language part of vision).
// Source: huggingface/transformers `modeling_phi3.py`; shapes in docs of each member.
// Shape letters: T new tokens, S tokens seen so far, H query heads, K key/value heads, D headDim, C hiddenSize,
// I intermediateSize, V vocabSize.

export interface Phi3Layer {
  readonly inputLayernorm: TensorHandle; // [C]
  readonly qkvProj: WeightHandle; // [(H + 2K)·D, C]: all queries, then all keys, then all values
  readonly oProj: WeightHandle; // [C, H·D]
  readonly postAttentionLayernorm: TensorHandle; // [C]
  readonly gateUpProj: WeightHandle; // [2I, C]: the gate, then the up projection
  readonly downProj: WeightHandle; // [C, I]
}

export interface Phi3Weights {
  readonly embedTokens: WeightHandle; // [V, C]
  readonly layers: readonly Phi3Layer[];
  readonly norm: TensorHandle; // [C]
  readonly lmHead: WeightHandle; // [V, C]; the embedding itself where the two are tied
}

/** The configuration of a model whose language part is this one. */
export type Phi3LanguageConfig = Phi3Config | Phi3VisionConfig;

export interface Phi3 {
  readonly config: Phi3LanguageConfig;
  readonly rotary: RotaryConfig;
  readonly weights: Phi3Weights;
  readonly backend: Backend;
  readonly selfAttention: Phi3SelfAttention;
}

/** What a self-attention gets. To try another attention, give {@link createPhi3} another function of this type. */
export type Phi3AttentionInput = AttentionInput<Phi3LanguageConfig, Phi3Layer>;

/** `[T, C]` in, `[T, C]` out; appends the keys and values of the new tokens to the cache. */
export type Phi3SelfAttention = SelfAttention<Phi3LanguageConfig, Phi3Layer>;

/** Grouped-query attention behind the fused projection, as published. */
export const phi3SelfAttention: Phi3SelfAttention = (ops, { config, layer, index, observe, ...input }) => {
  const { numAttentionHeads, numKeyValueHeads, headDim, slidingWindow } = config;
  const queryWidth = numAttentionHeads * headDim;
  const keyWidth = numKeyValueHeads * headDim;

  const qkv = observe(`layers.${index}.qkvProj`, ops.linear(input.hidden, layer.qkvProj)); //   [T, (H + 2K)·D]
  const queries = ops.rotate(ops.columns(qkv, 0, queryWidth), input.rotary, headDim); //        [T, H·D]
  const unrotated = ops.columns(qkv, queryWidth, keyWidth); //                                  [T, K·D]
  const keys = input.keyRotation ? unrotated : ops.rotate(unrotated, input.rotary, headDim); // [T, K·D]
  const values = ops.columns(qkv, queryWidth + keyWidth, keyWidth); //                          [T, K·D]
  observe(`layers.${index}.queries`, queries);
  observe(`layers.${index}.keys`, keys);

  ops.appendToCache(input.cache, index, keys, values);
  const attended = ops.attention(queries, input.cache, index, {
    scale: 1 / Math.sqrt(headDim),
    slidingWindow,
    keyRotation: input.keyRotation,
  }); //                                                                                        [T, H·D]
  return ops.linear(observe(`layers.${index}.attention`, attended), layer.oProj); //            [T, C]
};

/**
 * One forward pass: `ids` follow the positions that `cache` holds, and are in it afterwards. Where the pass is stopped
 * half-way, the cache is as it was.
 *
 * @param model - the configuration, its angles, the weights on a backend, and the self-attention
 * @param ids - `[T]`, token ids below V
 * @param cache - one of `model.backend` with the layers of the model
 * @param options - which rows of logits to compute, the list of LongRoPE factors, and what to observe
 * @param embeddings - `[T, C]` instead of the embeddings of `ids`: how images come in
 * @returns logits `[rows, V]` for the rows asked for
 */
export async function forwardPhi3(
  { config, rotary: rope, weights, backend, selfAttention }: Phi3,
  ids: Int32Array,
  cache: CacheHandle,
  { logits, factorList: list, rotateOnRead, betweenLayers, onTensor }: ForwardOptions,
  embeddings?: FloatTensor,
): Promise<FloatTensor> {
  const { observe, settled } = createObserver(onTensor);
  const ops = backend.beginStep();
  try {
    const rotaryOf = (start: number, length: number): RotaryHandle => {
      const { cos, sin } = createRotaryTable(rope, { start, length, list });
      return { cos: ops.upload(cos), sin: ops.upload(sin) }; //                                   [length, R/2]
    };
    const rotary = rotaryOf(cache.length, ids.length);
    const keyRotation = rotateOnRead ? rotaryOf(0, cache.length + ids.length) : undefined;
    const tables = [rotary, keyRotation].flatMap((table) => (table ? [table.cos, table.sin] : []));

    let hidden = embeddings ? ops.upload(embeddings) : ops.embed(weights.embedTokens, ids); //    [T, C]
    observe('hidden.0', hidden);
    for (const [index, layer] of weights.layers.entries()) {
      await betweenLayers?.();
      const normed = ops.rmsNorm(hidden, layer.inputLayernorm, config.rmsNormEps); //             [T, C]
      observe(`layers.${index}.inputLayernorm`, normed);
      const input = { config, layer, index, rotary, keyRotation, cache, hidden: normed, observe };
      const attended = observe(`layers.${index}.oProj`, selfAttention(ops, input)); //            [T, C]
      hidden = ops.add(hidden, attended);

      await betweenLayers?.();
      const normedAgain = ops.rmsNorm(hidden, layer.postAttentionLayernorm, config.rmsNormEps); // [T, C]
      observe(`layers.${index}.postAttentionLayernorm`, normedAgain);
      const gated = ops.gatedActivation(ops.linear(normedAgain, layer.gateUpProj), 'swiglu'); //  [T, I]
      observe(`layers.${index}.gated`, gated);
      hidden = ops.add(hidden, observe(`layers.${index}.mlp`, ops.linear(gated, layer.downProj)));
      observe(`hidden.${index + 1}`, hidden);
      await settled();
      ops.keepOnly([hidden, ...tables]);
    }
    ops.commit(cache, ids.length);

    const count = logits === 'all' ? ids.length : logits === 'last' ? 1 : 0;
    const wanted = ops.rows(hidden, ids.length - count, count); //                                [rows, C]
    const normed = observe('finalNorm', ops.rmsNorm(wanted, weights.norm, config.rmsNormEps)); // [rows, C]
    const result = await backend.read(ops.linear(normed, weights.lmHead)); //                     [rows, V]
    await settled();
    return result;
  } finally {
    ops.end();
  }
}
