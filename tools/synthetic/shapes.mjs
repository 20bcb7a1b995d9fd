// The shapes of the published members, and how to cut them.
//
// Source: `config.json` of each checkpoint (microsoft/Phi-3-mini-4k-instruct and its siblings). Factor lists of LongRoPE are made up:
// their length and the attention factor are a matter of shape, their numbers are not.

const common = {
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  rope_scaling: null,
  vocab_size: 32064,
  sliding_window: null,
  tie_word_embeddings: false,
  hidden_act: 'silu',
  bos_token_id: 1,
  eos_token_id: 2,
};

const sizes = (layers, hiddenSize, intermediateSize, heads, keyValueHeads) => ({
  num_hidden_layers: layers,
  hidden_size: hiddenSize,
  intermediate_size: intermediateSize,
  num_attention_heads: heads,
  num_key_value_heads: keyValueHeads,
});
const short = (window, positions = 4096) => ({
  max_position_embeddings: positions,
  original_max_position_embeddings: positions,
  sliding_window: window,
});
const long = (window, headDim, type = 'longrope', more = {}) => ({
  max_position_embeddings: 131072,
  original_max_position_embeddings: 4096,
  sliding_window: window,
  rope_scaling: { type, ...factorLists(headDim), ...more },
});

/** From 1 up, as the published lists are: the slow components stretched most. */
function factorLists(headDim) {
  const half = headDim / 2;
  const list = (last) => Array.from({ length: half }, (_, i) => Math.round(100 * last ** (i / (half - 1))) / 100);
  return { short_factor: list(2.8), long_factor: list(64) };
}

const phi3 = { ...common, architectures: ['Phi3ForCausalLM'], model_type: 'phi3' };
const mini = { ...phi3, ...sizes(32, 3072, 8192, 32, 32) };
const medium = { ...phi3, ...sizes(40, 5120, 17920, 40, 10) };
const small = {
  ...sizes(32, 4096, undefined, 32, 8),
  architectures: ['Phi3SmallForCausalLM'],
  model_type: 'phi3small',
  bos_token_id: 1,
  eos_token_id: 2,
  rope_scaling: null,
  ff_intermediate_size: 14336,
  hidden_act: 'gegelu',
  gegelu_limit: 20,
  layer_norm_epsilon: 1e-5,
  rope_embedding_base: 1000000,
  rope_position_scale: 1,
  mup_use_scaling: true,
  mup_width_multiplier: 8,
  mup_embedding_multiplier: 10,
  mup_attn_multiplier: 1,
  blocksparse_block_size: 64,
  blocksparse_num_local_blocks: 16,
  blocksparse_vert_stride: 8,
  blocksparse_homo_head_pattern: false,
  dense_attention_every_n_layers: 2,
  dummy_token_indices: [],
  vocab_size: 100352,
};
const moe = {
  ...common,
  ...sizes(32, 4096, 6400, 32, 8),
  ...long(131072, 128, 'longrope', { short_mscale: 1.243163121016122, long_mscale: 1.243163121016122 }),
  architectures: ['PhiMoEForCausalLM'],
  model_type: 'phimoe',
  attention_bias: true,
  lm_head_bias: true,
  num_local_experts: 16,
  num_experts_per_tok: 2,
  router_jitter_noise: 0.01,
};
const vision = {
  ...mini,
  architectures: ['Phi3VForCausalLM'],
  model_type: 'phi3_v',
  embd_layer: {
    embedding_cls: 'image',
    hd_transform_order: 'sub_glb',
    projection_cls: 'mlp',
    use_hd_transform: true,
    with_learnable_separator: true,
  },
  img_processor: {
    image_dim_out: 1024,
    model_name: 'openai/clip-vit-large-patch14-336',
    name: 'clip_vision_model',
    num_img_tokens: 144,
  },
};
/** That of the model named above; published files do not repeat it. */
const clip = { hidden_size: 1024, intermediate_size: 4096, num_hidden_layers: 24, num_attention_heads: 16 };

/** By name. `eighth` has a sixteenth of the weights of Phi-3-mini's layers, a twelfth of all; `tiny` is for tests. */
export const shapes = new Map(
  Object.entries({
    'phi-3-mini': { ...mini, ...short(2047) },
    'phi-3-mini-128k': { ...mini, ...long(262144, 96) },
    'phi-3-small': { ...small, max_position_embeddings: 8192 },
    'phi-3-small-128k': {
      ...small,
      max_position_embeddings: 131072,
      original_max_position_embeddings: 8192,
      rope_scaling: { type: 'su', original_max_position_embeddings: 8192, ...factorLists(128) },
    },
    'phi-3-medium': { ...medium, ...short(2047) },
    'phi-3-medium-128k': { ...medium, ...long(131072, 128) },
    'phi-3-vision': { ...vision, ...long(131072, 96, 'su') },
    'phi-3.5-mini': { ...mini, ...long(262144, 96) },
    'phi-3.5-moe': moe,
    'phi-3.5-vision': { ...vision, ...long(262144, 96, 'su') },
    eighth: { ...phi3, ...sizes(8, 1536, 4096, 16, 16), ...short(null) },
    tiny: { ...phi3, ...sizes(2, 256, 512, 4, 2), ...short(null, 256), vocab_size: 512 },
  }),
);

/**
 * A shape with fewer layers, or narrower: its widths, heads and vocabulary divided by a number. The heads keep their size, and so
 * RoPE its lists. An image encoder is cut alike.
 */
export function cutShape(config, { layers, narrow = 1 }) {
  const cut = { ...config };
  if (layers !== undefined) {
    expectWhole('--layers', layers, config.num_hidden_layers);
    cut.num_hidden_layers = layers;
  }
  expectWhole('--narrow', narrow, config.num_attention_heads);
  for (const name of ['hidden_size', 'intermediate_size', 'ff_intermediate_size', 'num_attention_heads']) {
    if (cut[name] !== undefined) cut[name] = divided(name, cut[name], narrow);
  }
  cut.num_key_value_heads = divided(
    'num_key_value_heads',
    cut.num_key_value_heads,
    Math.min(narrow, cut.num_key_value_heads),
  );
  // As many as the bytes and some pieces need at least; a multiple of the blocks of every format.
  cut.vocab_size = Math.max(512, 32 * Math.floor(cut.vocab_size / narrow / 32));
  if (cut.img_processor && (layers !== undefined || narrow > 1)) {
    const inner = Math.min(narrow, clip.num_attention_heads);
    const encoder = {
      hidden_size: divided('image hidden_size', clip.hidden_size, inner),
      intermediate_size: divided('image intermediate_size', clip.intermediate_size, inner),
      num_attention_heads: divided('image num_attention_heads', clip.num_attention_heads, inner),
      num_hidden_layers: Math.max(2, Math.min(layers ?? clip.num_hidden_layers, clip.num_hidden_layers)),
      image_size: 336,
      patch_size: 14,
    };
    cut.img_processor = { ...cut.img_processor, image_dim_out: encoder.hidden_size, clip_config: encoder };
  }
  return cut;
}

function divided(name, size, by) {
  if (size % by !== 0) throw new RangeError(`--narrow must divide ${name}, which is ${size}`);
  return size / by;
}

function expectWhole(name, value, most) {
  if (Number.isInteger(value) && value >= 1 && value <= most) return;
  throw new RangeError(`${name} must be a whole number from 1 to ${most}, not ${value}`);
}
