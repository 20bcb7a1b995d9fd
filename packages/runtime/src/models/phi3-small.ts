import { createBlockSparsePattern } from '@phiblocks/block-sparse-attention';
import { createRotaryTable, type RotaryConfig } from '@phiblocks/longrope';
import type { Backend, CacheHandle, FloatTensor, RotaryHandle, TensorHandle, WeightHandle } from '@phiblocks/tensor';
import type { Phi3SmallConfig } from '@phiblocks/weights';
import type { AttentionInput, SelfAttention } from './attention-input.ts';
import type { Biased } from './biased.ts';
import { createObserver, type ForwardOptions } from './forward-options.ts';

// Phi-3-small 8k and 128k.
// Source: `modeling_phi3_small.py`, published with the checkpoint; Phi-3 technical report, arXiv:2404.14219 §2.
// Shape letters: T new tokens, S tokens seen so far, H query heads, K key/value heads, D headDim, C hiddenSize,
// I intermediateSize, V vocabSize.

export interface Phi3SmallLayer {
  readonly inputLayernorm: Biased<TensorHandle>; // [C]
  readonly queryKeyValue: Biased<WeightHandle>; // [(H + 2K)·D, C]: sorted at load into all queries, all keys, all values
  readonly dense: Biased<WeightHandle>; // [C, H·D]
  readonly postAttentionLayernorm: Biased<TensorHandle>; // [C]
  readonly upProj: Biased<WeightHandle>; // [2I, C]: sorted at load into the gate, then the linear part
  readonly downProj: Biased<WeightHandle>; // [C, I]
}

export interface Phi3SmallWeights {
  readonly embedTokens: WeightHandle; // [V, C]
  readonly layers: readonly Phi3SmallLayer[];
  readonly finalLayernorm: Biased<TensorHandle>; // [C]
  readonly lmHead: WeightHandle; // [V, C]; the embedding itself where the two are tied, as published
}

export interface Phi3Small {
  readonly config: Phi3SmallConfig;
  readonly rotary: RotaryConfig;
  readonly weights: Phi3SmallWeights;
  readonly backend: Backend;
  readonly selfAttention: Phi3SmallSelfAttention;
}

/** What a self-attention gets. To try another attention, give {@link createPhi3Small} another function of this type. */
export type Phi3SmallAttentionInput = AttentionInput<Phi3SmallConfig, Phi3SmallLayer>;

/** `[T, C]` in, `[T, C]` out; appends the keys and values of the new tokens to the cache. */
export type Phi3SmallSelfAttention = SelfAttention<Phi3SmallConfig, Phi3SmallLayer>;

/** Dense and block-sparse attention in turn, as published: the first layer is sparse. */
export const phi3SmallSelfAttention: Phi3SmallSelfAttention = (ops, { config, layer, index, observe, ...input }) => {
  const { numAttentionHeads, numKeyValueHeads, headDim } = config;
  const queryWidth = numAttentionHeads * headDim;
  const keyWidth = numKeyValueHeads * headDim;

  const qkv = ops.linear(input.hidden, layer.queryKeyValue.weight, layer.queryKeyValue.bias); // [T, (H + 2K)·D]
  observe(`layers.${index}.queryKeyValue`, qkv);
  const queries = ops.rotate(ops.columns(qkv, 0, queryWidth), input.rotary, headDim); //         [T, H·D]
  const unrotated = ops.columns(qkv, queryWidth, keyWidth); //                                   [T, K·D]
  const keys = input.keyRotation ? unrotated : ops.rotate(unrotated, input.rotary, headDim); //  [T, K·D]
  const values = ops.columns(qkv, queryWidth + keyWidth, keyWidth); //                           [T, K·D]
  observe(`layers.${index}.queries`, queries);
  observe(`layers.${index}.keys`, keys);

  ops.appendToCache(input.cache, index, keys, values);
  const attended = ops.attention(queries, input.cache, index, {
    // Trap: maximal update parametrisation divides by D, not by its root.
    scale: config.mupUseScaling ? config.mupAttnMultiplier / headDim : 1 / Math.sqrt(headDim),
    blockSparse: isDense(config, index) ? undefined : blockSparsePatternOf(config),
    keyRotation: input.keyRotation,
  }); //                                                                                         [T, H·D]
  return ops.linear(observe(`layers.${index}.attention`, attended), layer.dense.weight, layer.dense.bias); // [T, C]
};

/** Layer N, counted from 0, is dense when N + 1 is a multiple of the configured number: layers 1, 3, … as published. */
export function isDense({ denseAttentionEveryNLayers: every }: Phi3SmallConfig, index: number): boolean {
  return every !== undefined && (index + 1) % every === 0;
}

export function blockSparsePatternOf(config: Phi3SmallConfig) {
  return createBlockSparsePattern({
    blockSize: config.blocksparseBlockSize,
    numLocalBlocks: config.blocksparseNumLocalBlocks,
    verticalStride: config.blocksparseVertStride,
    numHeads: config.numAttentionHeads,
    homoHeadPattern: config.blocksparseHomoHeadPattern,
  });
}

/**
 * One forward pass: `ids` follow the positions that `cache` holds, and are in it afterwards. Where the pass is stopped
 * half-way, the cache is as it was.
 *
 * @param model - the configuration, its angles, the weights on a backend, and the self-attention
 * @param ids - `[T]`, token ids below V
 * @param cache - one of `model.backend` with the layers of the model
 * @param options - which rows of logits to compute, the list of LongRoPE factors, and what to observe
 * @returns logits `[rows, V]` for the rows asked for; those of unused ids are the most negative finite float32
 */
export async function forwardPhi3Small(
  { config, rotary: rope, weights, backend, selfAttention }: Phi3Small,
  ids: Int32Array,
  cache: CacheHandle,
  { logits, factorList: list, rotateOnRead, betweenLayers, onTensor }: ForwardOptions,
): Promise<FloatTensor> {
  const epsilon = config.layerNormEpsilon;
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

    let hidden = ops.multiply(ops.embed(weights.embedTokens, ids), config.mupEmbeddingMultiplier); // [T, C]
    observe('hidden.0', hidden);
    for (const [index, layer] of weights.layers.entries()) {
      await betweenLayers?.();
      const { inputLayernorm: norm1, postAttentionLayernorm: norm2, upProj, downProj } = layer;
      const normed = ops.layerNorm(hidden, norm1.weight, norm1.bias, epsilon); //                 [T, C]
      observe(`layers.${index}.inputLayernorm`, normed);
      const input = { config, layer, index, rotary, keyRotation, cache, hidden: normed, observe };
      const attended = observe(`layers.${index}.dense`, selfAttention(ops, input)); //            [T, C]
      hidden = ops.add(hidden, attended);

      await betweenLayers?.();
      const normedAgain = ops.layerNorm(hidden, norm2.weight, norm2.bias, epsilon); //            [T, C]
      observe(`layers.${index}.postAttentionLayernorm`, normedAgain);
      const up = observe(`layers.${index}.upProj`, ops.linear(normedAgain, upProj.weight, upProj.bias)); // [T, 2I]
      const gated = observe(`layers.${index}.gegelu`, ops.gatedActivation(up, 'gegelu', config.gegeluLimit)); // [T, I]
      const mlp = observe(`layers.${index}.mlp`, ops.linear(gated, downProj.weight, downProj.bias)); // [T, C]
      hidden = observe(`hidden.${index + 1}`, ops.add(hidden, mlp));
      await settled();
      ops.keepOnly([hidden, ...tables]);
    }
    ops.commit(cache, ids.length);

    const count = logits === 'all' ? ids.length : logits === 'last' ? 1 : 0;
    const wanted = ops.rows(hidden, ids.length - count, count); //                                [rows, C]
    const normed = ops.layerNorm(wanted, weights.finalLayernorm.weight, weights.finalLayernorm.bias, epsilon);
    observe('finalNorm', normed); //                                                              [rows, C]
    const scaled = ops.multiply(ops.linear(normed, weights.lmHead), 1 / config.mupWidthMultiplier);
    const result = await backend.read(scaled); //                                                 [rows, V]
    await settled();
    return maskUnused(result, config.dummyTokenIndices);
  } finally {
    ops.end();
  }
}

/** Ids that the tokenizer does not use are never generated. In place: the numbers were just read for this caller. */
function maskUnused(logits: FloatTensor, unusedIds: readonly number[]): FloatTensor {
  const mostNegative = -(2 - 2 ** -23) * 2 ** 127;
  const [rows, vocabSize] = logits.shape as readonly [number, number];
  for (let row = 0; row < rows; row++) {
    for (const id of unusedIds) logits.data[row * vocabSize + id] = mostNegative;
  }
  return logits;
}
