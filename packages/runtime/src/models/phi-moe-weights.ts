import type { PhiMoeConfig } from '@phiblocks/weights';
import type { ExpertKeys } from './experts.ts';
import type { TensorPlan, WeightLoader } from './load-weights.ts';
import type { PhiMoeLayer, PhiMoeWeights } from './phi-moe.ts';

// The only place that knows how a published PhiMoEForCausalLM checkpoint spells its keys.

/** The tensors of a PhiMoEForCausalLM checkpoint and their shapes. The norms have biases; linears where the configuration says. */
export function phiMoeTensorPlan(config: PhiMoeConfig): TensorPlan {
  const { hiddenSize: C, intermediateSize: I, vocabSize: V, headDim: D } = config;
  const H = config.numAttentionHeads;
  const K = config.numKeyValueHeads;
  const plan = new Map<string, readonly number[]>([['model.embed_tokens.weight', [V, C]]]);
  const add = (key: string, shape: readonly number[], hasBias: boolean): void => {
    plan.set(`${key}.weight`, shape);
    if (hasBias) plan.set(`${key}.bias`, shape.slice(0, 1));
  };
  for (let index = 0; index < config.numHiddenLayers; index++) {
    const layer = `model.layers.${index}`;
    add(`${layer}.input_layernorm`, [C], true);
    add(`${layer}.self_attn.q_proj`, [H * D, C], config.attentionBias);
    add(`${layer}.self_attn.k_proj`, [K * D, C], config.attentionBias);
    add(`${layer}.self_attn.v_proj`, [K * D, C], config.attentionBias);
    add(`${layer}.self_attn.o_proj`, [C, H * D], config.attentionBias);
    add(`${layer}.post_attention_layernorm`, [C], true);
    add(`${layer}.block_sparse_moe.gate`, [config.numLocalExperts, C], false);
    for (let expert = 0; expert < config.numLocalExperts; expert++) {
      const { w1, w2, w3 } = expertKeys(index, expert);
      plan.set(w1, [I, C]);
      plan.set(w2, [C, I]);
      plan.set(w3, [I, C]);
    }
  }
  add('model.norm', [C], true);
  if (!config.tieWordEmbeddings) plan.set('lm_head.weight', [V, C]);
  if (config.lmHeadBias) plan.set('lm_head.bias', [V]);
  return plan;
}

/** Where the weights of one expert are. */
export function expertKeys(layer: number, expert: number): ExpertKeys {
  const prefix = `model.layers.${layer}.block_sparse_moe.experts.${expert}`;
  return { w1: `${prefix}.w1.weight`, w2: `${prefix}.w2.weight`, w3: `${prefix}.w3.weight` };
}

/** Whether a key is one of {@link expertKeys}. */
export function isExpertKey(key: string): boolean {
  return key.includes('.block_sparse_moe.experts.');
}

/** Reads the planned tensors but the experts, in the order in which the forward pass uses them. */
export async function loadPhiMoeWeights(config: PhiMoeConfig, loader: WeightLoader): Promise<PhiMoeWeights> {
  const norm = async (key: string) => ({
    weight: await loader.vector(`${key}.weight`),
    bias: await loader.vector(`${key}.bias`),
  });
  const linear = async (key: string) => ({
    weight: await loader.matrix(`${key}.weight`),
    bias: config.attentionBias ? await loader.vector(`${key}.bias`) : undefined,
  });
  const embedTokens = await loader.matrix('model.embed_tokens.weight');
  const layers: PhiMoeLayer[] = [];
  for (let index = 0; index < config.numHiddenLayers; index++) {
    const layer = `model.layers.${index}`;
    layers.push({
      inputLayernorm: await norm(`${layer}.input_layernorm`),
      qProj: await linear(`${layer}.self_attn.q_proj`),
      kProj: await linear(`${layer}.self_attn.k_proj`),
      vProj: await linear(`${layer}.self_attn.v_proj`),
      oProj: await linear(`${layer}.self_attn.o_proj`),
      postAttentionLayernorm: await norm(`${layer}.post_attention_layernorm`),
      gate: await loader.matrix(`${layer}.block_sparse_moe.gate.weight`),
    });
  }
  return {
    embedTokens,
    layers,
    norm: await norm('model.norm'),
    lmHead: {
      weight: config.tieWordEmbeddings ? embedTokens : await loader.matrix('lm_head.weight'),
      bias: config.lmHeadBias ? await loader.vector('lm_head.bias') : undefined,
    },
  };
}
