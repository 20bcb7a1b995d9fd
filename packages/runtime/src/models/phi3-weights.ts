import type { TensorHandle, WeightHandle } from '@phiblocks/tensor';
import type { TensorPlan, WeightLoader } from './load-weights.ts';
import type { Phi3LanguageConfig, Phi3Layer, Phi3Weights } from './phi3.ts';

// The only place that knows how a published Phi3ForCausalLM checkpoint spells its keys.

/**
 * The tensors of a Phi3ForCausalLM checkpoint and their shapes.
 *
 * @example
 * const plan = phi3TensorPlan(tinyPhi3Config);
 * plan.get('model.layers.0.mlp.down_proj.weight'); // => [tinyPhi3Config.hiddenSize, tinyPhi3Config.intermediateSize]
 */
export function phi3TensorPlan(config: Phi3LanguageConfig): TensorPlan {
  const { hiddenSize: C, intermediateSize: I, vocabSize: V, headDim: D } = config;
  const H = config.numAttentionHeads;
  const K = config.numKeyValueHeads;
  const plan = new Map<string, readonly number[]>([['model.embed_tokens.weight', [V, C]]]);
  for (let index = 0; index < config.numHiddenLayers; index++) {
    const layer = `model.layers.${index}`;
    plan.set(`${layer}.input_layernorm.weight`, [C]);
    plan.set(`${layer}.self_attn.qkv_proj.weight`, [(H + 2 * K) * D, C]);
    plan.set(`${layer}.self_attn.o_proj.weight`, [C, H * D]);
    plan.set(`${layer}.post_attention_layernorm.weight`, [C]);
    plan.set(`${layer}.mlp.gate_up_proj.weight`, [2 * I, C]);
    plan.set(`${layer}.mlp.down_proj.weight`, [C, I]);
  }
  plan.set('model.norm.weight', [C]);
  if (!config.tieWordEmbeddings) plan.set('lm_head.weight', [V, C]);
  return plan;
}

/** Reads the planned tensors in the order in which the forward pass uses them. */
export async function loadPhi3Weights(config: Phi3LanguageConfig, loader: WeightLoader): Promise<Phi3Weights> {
  const embedTokens = await loader.matrix('model.embed_tokens.weight');
  const layers: Phi3Layer[] = [];
  for (let index = 0; index < config.numHiddenLayers; index++) {
    const layer = `model.layers.${index}`;
    layers.push({
      inputLayernorm: await loader.vector(`${layer}.input_layernorm.weight`),
      qkvProj: await loader.matrix(`${layer}.self_attn.qkv_proj.weight`),
      oProj: await loader.matrix(`${layer}.self_attn.o_proj.weight`),
      postAttentionLayernorm: await loader.vector(`${layer}.post_attention_layernorm.weight`),
      gateUpProj: await loader.matrix(`${layer}.mlp.gate_up_proj.weight`),
      downProj: await loader.matrix(`${layer}.mlp.down_proj.weight`),
    });
  }
  const norm: TensorHandle = await loader.vector('model.norm.weight');
  const lmHead: WeightHandle = config.tieWordEmbeddings ? embedTokens : await loader.matrix('lm_head.weight');
  return { embedTokens, layers, norm, lmHead };
}
