import type { FloatTensor } from '@phiblocks/tensor';
import type { ClipConfig, ImageEmbeddingWeights } from '../../src/index.ts';
import { floatTensor, readSafetensors } from './read-safetensors.ts';

/** The image weights of a checkpoint in the published layout: the map from its keys to this package's names. */
export function readImageWeights(path: string, config: ClipConfig): ImageEmbeddingWeights {
  const file = readSafetensors(path);
  const root = 'model.vision_embed_tokens';
  const tower = `${root}.img_processor.vision_model`;
  const tensor = (name: string): FloatTensor => floatTensor(file.get(name));
  const both = (name: string) => ({ weight: tensor(`${name}.weight`), bias: tensor(`${name}.bias`) });
  return {
    clip: {
      classEmbedding: tensor(`${tower}.embeddings.class_embedding`),
      patchEmbedding: tensor(`${tower}.embeddings.patch_embedding.weight`),
      positionEmbedding: tensor(`${tower}.embeddings.position_embedding.weight`),
      preLayerNorm: both(`${tower}.pre_layrnorm`),
      layers: Array.from({ length: config.numHiddenLayers }, (_, index) => {
        const layer = `${tower}.encoder.layers.${index}`;
        return {
          layerNorm1: both(`${layer}.layer_norm1`),
          selfAttention: {
            qProj: both(`${layer}.self_attn.q_proj`),
            kProj: both(`${layer}.self_attn.k_proj`),
            vProj: both(`${layer}.self_attn.v_proj`),
            outProj: both(`${layer}.self_attn.out_proj`),
          },
          layerNorm2: both(`${layer}.layer_norm2`),
          mlp: { fc1: both(`${layer}.mlp.fc1`), fc2: both(`${layer}.mlp.fc2`) },
        };
      }),
    },
    subGn: tensor(`${root}.sub_GN`),
    glbGn: tensor(`${root}.glb_GN`),
    projector: { linear1: both(`${root}.img_projection.0`), linear2: both(`${root}.img_projection.2`) },
  };
}
