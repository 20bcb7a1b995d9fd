import type { Phi3VisionConfig } from '@phiblocks/weights';
import type { TensorPlan, WeightLoader } from './load-weights.ts';
import type { ClipLayer, ImageWeights } from './phi3-vision.ts';
import { phi3TensorPlan } from './phi3-weights.ts';

// The only place that knows how a published Phi3VForCausalLM checkpoint spells the keys of its image side. Those of the
// language part are the keys of Phi3ForCausalLM.

const prefix = 'model.vision_embed_tokens';
const tower = `${prefix}.img_processor.vision_model`;

/**
 * The tensors of a Phi3VForCausalLM checkpoint and their shapes. The tower's last layer and its `post_layernorm` are in
 * published files too; nothing reads them.
 */
export function phi3VisionTensorPlan(config: Phi3VisionConfig): TensorPlan {
  const { clipConfig } = config.imgProcessor;
  const { hiddenSize: W, intermediateSize: M, patchSize: P } = clipConfig; // W: the width of the tower
  const C = config.hiddenSize;
  const plan = new Map(phi3TensorPlan(config));
  const withBias = (key: string, shape: readonly number[]): void => {
    plan.set(`${key}.weight`, shape);
    plan.set(`${key}.bias`, shape.slice(0, 1));
  };
  plan.set(`${tower}.embeddings.class_embedding`, [W]);
  plan.set(`${tower}.embeddings.patch_embedding.weight`, [W, clipConfig.numChannels, P, P]);
  plan.set(`${tower}.embeddings.position_embedding.weight`, [1 + (clipConfig.imageSize / P) ** 2, W]);
  withBias(`${tower}.pre_layrnorm`, [W]); // the key really is spelled so
  for (let index = 0; index < clipConfig.numHiddenLayers - 1; index++) {
    const layer = `${tower}.encoder.layers.${index}`;
    withBias(`${layer}.layer_norm1`, [W]);
    for (const name of ['q_proj', 'k_proj', 'v_proj', 'out_proj']) withBias(`${layer}.self_attn.${name}`, [W, W]);
    withBias(`${layer}.layer_norm2`, [W]);
    withBias(`${layer}.mlp.fc1`, [M, W]);
    withBias(`${layer}.mlp.fc2`, [W, M]);
  }
  plan.set(`${prefix}.sub_GN`, [1, 1, 1, 4 * W]);
  plan.set(`${prefix}.glb_GN`, [1, 1, 4 * W]);
  withBias(`${prefix}.img_projection.0`, [C, 4 * W]);
  withBias(`${prefix}.img_projection.2`, [C, C]);
  return plan;
}

/** Reads the image side in the order in which it is used. */
export async function loadImageWeights(config: Phi3VisionConfig, loader: WeightLoader): Promise<ImageWeights> {
  const norm = async (key: string) => ({
    weight: await loader.vector(`${key}.weight`),
    bias: await loader.vector(`${key}.bias`),
  });
  const linear = async (key: string) => ({
    weight: await loader.matrix(`${key}.weight`),
    bias: await loader.vector(`${key}.bias`),
  });
  const classEmbedding = await loader.floats(`${tower}.embeddings.class_embedding`);
  const patchEmbedding = await loader.matrix(`${tower}.embeddings.patch_embedding.weight`);
  const positionEmbedding = await loader.vector(`${tower}.embeddings.position_embedding.weight`);
  const preLayerNorm = await norm(`${tower}.pre_layrnorm`);
  const layers: ClipLayer[] = [];
  for (let index = 0; index < config.imgProcessor.clipConfig.numHiddenLayers - 1; index++) {
    const layer = `${tower}.encoder.layers.${index}`;
    layers.push({
      layerNorm1: await norm(`${layer}.layer_norm1`),
      qProj: await linear(`${layer}.self_attn.q_proj`),
      kProj: await linear(`${layer}.self_attn.k_proj`),
      vProj: await linear(`${layer}.self_attn.v_proj`),
      outProj: await linear(`${layer}.self_attn.out_proj`),
      layerNorm2: await norm(`${layer}.layer_norm2`),
      fc1: await linear(`${layer}.mlp.fc1`),
      fc2: await linear(`${layer}.mlp.fc2`),
    });
  }
  return {
    classEmbedding,
    patchEmbedding,
    positionEmbedding,
    preLayerNorm,
    layers,
    subGn: await loader.floats(`${prefix}.sub_GN`),
    glbGn: await loader.floats(`${prefix}.glb_GN`),
    projection1: await linear(`${prefix}.img_projection.0`),
    projection2: await linear(`${prefix}.img_projection.2`),
  };
}
