import type { Phi3SmallConfig } from '@phiblocks/weights';
import type { TensorPlan, WeightLoader } from './load-weights.ts';
import type { Phi3SmallLayer, Phi3SmallWeights } from './phi3-small.ts';

// The only place that knows how a published Phi3SmallForCausalLM checkpoint spells its keys and orders its rows.

/**
 * The tensors of a Phi3SmallForCausalLM checkpoint and their shapes. Biases are there whatever `attention_bias` says;
 * `rotary_emb.inv_freq`, which some files hold, is computed.
 */
export function phi3SmallTensorPlan(config: Phi3SmallConfig): TensorPlan {
  const { hiddenSize: C, intermediateSize: I, vocabSize: V, headDim: D } = config;
  const H = config.numAttentionHeads;
  const K = config.numKeyValueHeads;
  const plan = new Map<string, readonly number[]>([['model.embed_tokens.weight', [V, C]]]);
  const withBias = (key: string, shape: readonly number[]): void => {
    plan.set(`${key}.weight`, shape);
    plan.set(`${key}.bias`, shape.slice(0, 1));
  };
  for (let index = 0; index < config.numHiddenLayers; index++) {
    const layer = `model.layers.${index}`;
    withBias(`${layer}.input_layernorm`, [C]);
    withBias(`${layer}.self_attn.query_key_value`, [(H + 2 * K) * D, C]);
    withBias(`${layer}.self_attn.dense`, [C, H * D]);
    withBias(`${layer}.post_attention_layernorm`, [C]);
    withBias(`${layer}.mlp.up_proj`, [2 * I, C]);
    withBias(`${layer}.mlp.down_proj`, [C, I]);
  }
  withBias('model.final_layernorm', [C]);
  if (!config.tieWordEmbeddings) plan.set('lm_head.weight', [V, C]);
  return plan;
}

/** Reads the planned tensors in the order in which the forward pass uses them, fused rows sorted into plain parts. */
export async function loadPhi3SmallWeights(config: Phi3SmallConfig, loader: WeightLoader): Promise<Phi3SmallWeights> {
  const norm = async (key: string) => ({
    weight: await loader.vector(`${key}.weight`),
    bias: await loader.vector(`${key}.bias`),
  });
  const linear = async (key: string, order?: Int32Array) => ({
    weight: await loader.matrix(`${key}.weight`, order),
    bias: await loader.vector(`${key}.bias`, order),
  });
  const qkvOrder = queryKeyValueOrder(config);
  const upOrder = gateUpOrder(config);
  const embedTokens = await loader.matrix('model.embed_tokens.weight');
  const layers: Phi3SmallLayer[] = [];
  for (let index = 0; index < config.numHiddenLayers; index++) {
    const layer = `model.layers.${index}`;
    layers.push({
      inputLayernorm: await norm(`${layer}.input_layernorm`),
      queryKeyValue: await linear(`${layer}.self_attn.query_key_value`, qkvOrder),
      dense: await linear(`${layer}.self_attn.dense`),
      postAttentionLayernorm: await norm(`${layer}.post_attention_layernorm`),
      upProj: await linear(`${layer}.mlp.up_proj`, upOrder),
      downProj: await linear(`${layer}.mlp.down_proj`),
    });
  }
  const finalLayernorm = await norm('model.final_layernorm');
  const lmHead = config.tieWordEmbeddings ? embedTokens : await loader.matrix('lm_head.weight');
  return { embedTokens, layers, finalLayernorm, lmHead };
}

/**
 * Where the rows of `[Q | K | V]` stand in the checkpoint, which keeps one group per key/value head: its query heads, then
 * the key head, then the value head.
 *
 * @param config - `numAttentionHeads` H, `numKeyValueHeads` K and `headDim` D
 * @returns `[(H + 2K) · D]`, for each row of the result the row of the checkpoint
 * @example
 * const config = { numAttentionHeads: 4, numKeyValueHeads: 2, headDim: 1 };
 * queryKeyValueOrder(config); // => [0, 1, 4, 5, 2, 6, 3, 7]
 */
export function queryKeyValueOrder({
  numAttentionHeads,
  numKeyValueHeads,
  headDim,
}: Pick<Phi3SmallConfig, 'numAttentionHeads' | 'numKeyValueHeads' | 'headDim'>): Int32Array {
  const headsPerGroup = numAttentionHeads / numKeyValueHeads;
  const order = new Int32Array((numAttentionHeads + 2 * numKeyValueHeads) * headDim);
  let row = 0;
  const addHead = (group: number, slot: number): void => {
    const start = (group * (headsPerGroup + 2) + slot) * headDim;
    for (let component = 0; component < headDim; component++) order[row++] = start + component;
  };
  for (let head = 0; head < numAttentionHeads; head++) {
    addHead(Math.floor(head / headsPerGroup), head % headsPerGroup);
  }
  for (let group = 0; group < numKeyValueHeads; group++) addHead(group, headsPerGroup);
  for (let group = 0; group < numKeyValueHeads; group++) addHead(group, headsPerGroup + 1);
  return order;
}

/**
 * Where the rows of `[gate | up]` stand in the checkpoint, which interleaves them: gates on even rows, the linear part on
 * odd ones.
 *
 * @param config - `intermediateSize` I
 * @returns `[2I]`, for each row of the result the row of the checkpoint
 * @example
 * gateUpOrder({ intermediateSize: 3 }); // => [0, 2, 4, 1, 3, 5]
 */
export function gateUpOrder({ intermediateSize }: Pick<Phi3SmallConfig, 'intermediateSize'>): Int32Array {
  const order = new Int32Array(2 * intermediateSize);
  for (let i = 0; i < intermediateSize; i++) {
    order[i] = 2 * i;
    order[intermediateSize + i] = 2 * i + 1;
  }
  return order;
}
