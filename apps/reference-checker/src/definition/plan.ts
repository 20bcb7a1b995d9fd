import type { ModelConfig } from '@phiblocks/weights';
import { tower, visionPrefix } from './layers.ts';

/**
 * Every tensor of a member and its shape, from the published layouts. Written here apart from the runtime's own lists.
 *
 * @returns shapes by key, in the order of computation
 */
export function tensorsOf(config: ModelConfig): Map<string, readonly number[]> {
  const { hiddenSize: C, intermediateSize: I, vocabSize: V, headDim: D, numAttentionHeads: H } = config;
  const K = config.numKeyValueHeads;
  const plan = new Map<string, readonly number[]>();
  const tensor = (key: string, shape: readonly number[], hasBias = false): void => {
    plan.set(`${key}.weight`, shape);
    if (hasBias) plan.set(`${key}.bias`, [shape[0]!]);
  };
  tensor('model.embed_tokens', [V, C]);
  for (let index = 0; index < config.numHiddenLayers; index++) {
    const layer = `model.layers.${index}`;
    const attention = `${layer}.self_attn`;
    switch (config.modelType) {
      case 'phi3':
      case 'phi3_v':
        tensor(`${layer}.input_layernorm`, [C]);
        tensor(`${attention}.qkv_proj`, [(H + 2 * K) * D, C]);
        tensor(`${attention}.o_proj`, [C, H * D]);
        tensor(`${layer}.post_attention_layernorm`, [C]);
        tensor(`${layer}.mlp.gate_up_proj`, [2 * I, C]);
        tensor(`${layer}.mlp.down_proj`, [C, I]);
        break;
      case 'phi3small':
        tensor(`${layer}.input_layernorm`, [C], true);
        tensor(`${attention}.query_key_value`, [(H + 2 * K) * D, C], true);
        tensor(`${attention}.dense`, [C, H * D], true);
        tensor(`${layer}.post_attention_layernorm`, [C], true);
        tensor(`${layer}.mlp.up_proj`, [2 * I, C], true);
        tensor(`${layer}.mlp.down_proj`, [C, I], true);
        break;
      case 'phimoe': {
        const hasBias = config.attentionBias;
        tensor(`${layer}.input_layernorm`, [C], true);
        tensor(`${attention}.q_proj`, [H * D, C], hasBias);
        tensor(`${attention}.k_proj`, [K * D, C], hasBias);
        tensor(`${attention}.v_proj`, [K * D, C], hasBias);
        tensor(`${attention}.o_proj`, [C, H * D], hasBias);
        tensor(`${layer}.post_attention_layernorm`, [C], true);
        tensor(`${layer}.block_sparse_moe.gate`, [config.numLocalExperts, C]);
        for (let expert = 0; expert < config.numLocalExperts; expert++) {
          const prefix = `${layer}.block_sparse_moe.experts.${expert}`;
          tensor(`${prefix}.w1`, [I, C]);
          tensor(`${prefix}.w2`, [C, I]);
          tensor(`${prefix}.w3`, [I, C]);
        }
        break;
      }
    }
  }
  const hasRmsNorm = config.modelType === 'phi3' || config.modelType === 'phi3_v';
  tensor(config.modelType === 'phi3small' ? 'model.final_layernorm' : 'model.norm', [C], !hasRmsNorm);
  if (!config.tieWordEmbeddings) tensor('lm_head', [V, C]);
  if (config.modelType === 'phimoe' && config.lmHeadBias) plan.set('lm_head.bias', [V]);
  if (config.modelType === 'phi3_v') {
    const {
      hiddenSize: W,
      intermediateSize: M,
      patchSize,
      imageSize,
      numHiddenLayers,
    } = config.imgProcessor.clipConfig;
    plan.set(`${tower}.embeddings.class_embedding`, [W]);
    tensor(`${tower}.embeddings.patch_embedding`, [W, 3, patchSize, patchSize]);
    tensor(`${tower}.embeddings.position_embedding`, [1 + (imageSize / patchSize) ** 2, W]);
    tensor(`${tower}.pre_layrnorm`, [W], true);
    // The last layer of the tower is published and not used.
    for (let index = 0; index < numHiddenLayers - 1; index++) {
      const layer = `${tower}.encoder.layers.${index}`;
      tensor(`${layer}.layer_norm1`, [W], true);
      for (const name of ['q_proj', 'k_proj', 'v_proj', 'out_proj']) tensor(`${layer}.self_attn.${name}`, [W, W], true);
      tensor(`${layer}.layer_norm2`, [W], true);
      tensor(`${layer}.mlp.fc1`, [M, W], true);
      tensor(`${layer}.mlp.fc2`, [W, M], true);
    }
    plan.set(`${visionPrefix}.sub_GN`, [1, 1, 1, 4 * W]);
    plan.set(`${visionPrefix}.glb_GN`, [1, 1, 4 * W]);
    tensor(`${visionPrefix}.img_projection.0`, [C, 4 * W], true);
    tensor(`${visionPrefix}.img_projection.2`, [C, C], true);
  }
  return plan;
}

/** Tensors that published files hold and nothing reads. */
export function isKnownExtra(key: string): boolean {
  return (
    key.endsWith('rotary_emb.inv_freq') ||
    key.endsWith('position_ids') ||
    key.startsWith(`${tower}.post_layernorm.`) ||
    key.startsWith(`${tower}.encoder.layers.`)
  );
}
