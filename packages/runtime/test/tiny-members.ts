import { encodeFloats } from '@phiblocks/tensor';
import { createSeededRandom } from '@phiblocks/testing';
import {
  createByteSource,
  encodeSafetensors,
  type ModelConfig,
  parsePhi3Config,
  type TensorInMemory,
} from '@phiblocks/weights';
import {
  type Checkpoint,
  openCheckpointFiles,
  phi3SmallTensorPlan,
  phi3TensorPlan,
  phi3VisionTensorPlan,
  phiMoeTensorPlan,
  type TensorPlan,
} from '../src/index.ts';

const common = {
  hidden_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 300,
  max_position_embeddings: 128,
  bos_token_id: 1,
  eos_token_id: 2,
};

/** `config.json` of one small model per class, in the published layout. */
export const tinyConfigs = {
  phi3: { ...common, model_type: 'phi3', intermediate_size: 48 },
  phi3small: {
    ...common,
    model_type: 'phi3small',
    ff_intermediate_size: 48,
    blocksparse_block_size: 8,
    blocksparse_num_local_blocks: 2,
    blocksparse_vert_stride: 3,
    dummy_token_indices: [298, 299],
  },
  phimoe: {
    ...common,
    model_type: 'phimoe',
    intermediate_size: 32,
    num_local_experts: 8,
    num_experts_per_tok: 2,
    attention_bias: true,
    lm_head_bias: true,
  },
  phi3_v: {
    ...common,
    model_type: 'phi3_v',
    intermediate_size: 48,
    max_position_embeddings: 2048,
    embd_layer: {
      embedding_cls: 'image',
      hd_transform_order: 'sub_glb',
      projection_cls: 'mlp',
      use_hd_transform: true,
      with_learnable_separator: true,
    },
    img_processor: {
      name: 'clip_vision_model',
      image_dim_out: 8,
      num_img_tokens: 144,
      clip_config: {
        hidden_size: 8,
        intermediate_size: 16,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        image_size: 336,
        patch_size: 14,
      },
    },
  },
};

export type TinyMember = keyof typeof tinyConfigs;

/** The tensors that a configuration calls for. */
export function tensorPlanOf(config: ModelConfig): TensorPlan {
  switch (config.modelType) {
    case 'phi3':
      return phi3TensorPlan(config);
    case 'phi3small':
      return phi3SmallTensorPlan(config);
    case 'phimoe':
      return phiMoeTensorPlan(config);
    case 'phi3_v':
      return phi3VisionTensorPlan(config);
  }
}

/**
 * A checkpoint of a member with seeded random weights, held in memory. Its numbers mean nothing; only their equality does.
 *
 * @param changes - `config`: fields that differ from {@link tinyConfigs}; `without`: tensors to leave out; `files`: more files
 */
export async function openTinyMember(
  member: TinyMember,
  changes: {
    config?: Record<string, unknown>;
    without?: (name: string) => boolean;
    files?: Record<string, Uint8Array>;
  } = {},
): Promise<Checkpoint> {
  const json = new TextEncoder().encode(JSON.stringify({ ...tinyConfigs[member], ...changes.config }));
  const random = createSeededRandom(11);
  const tensors: TensorInMemory[] = [];
  for (const [name, shape] of tensorPlanOf(parsePhi3Config(json))) {
    const size = shape.reduce((product, dimension) => product * dimension, 1);
    const isNorm = /norm\d?\.weight$/.test(name);
    const scale = shape.length > 1 ? 1 / Math.sqrt(size / shape[0]!) : 0.1;
    const values = random.normals(size, scale).map((value) => (isNorm ? 1 + value : value));
    if (changes.without?.(name)) continue;
    tensors.push({ name, dtype: 'F32', shape: [...shape], bytes: encodeFloats(values, 'F32') });
  }
  const files = new Map<string, Uint8Array>(
    Object.entries({ 'config.json': json, 'model.safetensors': encodeSafetensors(tensors), ...changes.files }),
  );
  return openCheckpointFiles({
    name: `tiny ${member}`,
    open: async (name) => {
      const bytes = files.get(name);
      return bytes && createByteSource(bytes, name);
    },
  });
}
