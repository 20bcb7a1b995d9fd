/** One tensor name in both spellings; `N` stands for the layer, `E` for the expert. */
type Spelling = readonly [checkpoint: string, gguf: string];

/**
 * The two spellings of every tensor, from `gguf-py/gguf/tensor_mapping.py` of llama.cpp for `phi3` and `phimoe`. The
 * experts of a layer are one GGUF tensor `[experts, out, in]`.
 */
function spellings(): readonly Spelling[] {
  return [
    ['model.embed_tokens', 'token_embd'],
    ['model.norm', 'output_norm'],
    ['lm_head', 'output'],
    ['model.layers.N.input_layernorm', 'blk.N.attn_norm'],
    ['model.layers.N.post_attention_layernorm', 'blk.N.ffn_norm'],
    ['model.layers.N.self_attn.qkv_proj', 'blk.N.attn_qkv'],
    ['model.layers.N.self_attn.q_proj', 'blk.N.attn_q'],
    ['model.layers.N.self_attn.k_proj', 'blk.N.attn_k'],
    ['model.layers.N.self_attn.v_proj', 'blk.N.attn_v'],
    ['model.layers.N.self_attn.o_proj', 'blk.N.attn_output'],
    // Both halves, gate first, in one tensor that GGUF calls "up".
    ['model.layers.N.mlp.gate_up_proj', 'blk.N.ffn_up'],
    ['model.layers.N.mlp.down_proj', 'blk.N.ffn_down'],
    ['model.layers.N.block_sparse_moe.gate', 'blk.N.ffn_gate_inp'],
    ['model.layers.N.block_sparse_moe.experts.E.w1', 'blk.N.ffn_gate_exps'],
    ['model.layers.N.block_sparse_moe.experts.E.w2', 'blk.N.ffn_down_exps'],
    ['model.layers.N.block_sparse_moe.experts.E.w3', 'blk.N.ffn_up_exps'],
  ];
}

/**
 * The GGUF name of a tensor of a Phi3ForCausalLM or PhiMoEForCausalLM checkpoint. No rows are permuted between the two:
 * the bytes of a float tensor are the same in both.
 *
 * The weights of all experts of a layer share one GGUF tensor `[experts, out, in]`; {@link withCheckpointNames} cuts it.
 *
 * Source: llama.cpp `gguf-py/gguf/tensor_mapping.py`.
 *
 * @param checkpointName - as in `model.safetensors`
 * @returns `undefined` for a name that no GGUF file of these architectures holds
 * @example
 * ggufTensorName('model.layers.3.mlp.gate_up_proj.weight'); // => 'blk.3.ffn_up.weight'
 * ggufTensorName('model.vision_embed_tokens.sub_GN'); // => undefined
 */
export function ggufTensorName(checkpointName: string): string | undefined {
  return translate(checkpointName, 0);
}

/**
 * The checkpoint name of a GGUF tensor, the inverse of {@link ggufTensorName}.
 *
 * @param ggufName - as in the file
 * @param expert - for a tensor that holds all experts of a layer, which of them
 * @returns `undefined` for a tensor that has no counterpart in a checkpoint (such as `rope_factors_long.weight`, whose
 * numbers are in `config.json`), or for a tensor of experts when `expert` is absent
 * @example
 * checkpointTensorName('output.weight'); // => 'lm_head.weight'
 * checkpointTensorName('blk.0.ffn_up_exps.weight', 7); // => 'model.layers.0.block_sparse_moe.experts.7.w3.weight'
 */
export function checkpointTensorName(ggufName: string, expert?: number): string | undefined {
  const found = translate(ggufName, 1);
  if (found === undefined) return undefined;
  if (!found.includes('.E.')) return expert === undefined ? found : undefined;
  return expert === undefined ? undefined : found.replace('.E.', `.${expert}.`);
}

function translate(name: string, from: 0 | 1): string | undefined {
  const suffix = name.endsWith('.weight') ? '.weight' : name.endsWith('.bias') ? '.bias' : undefined;
  if (suffix === undefined || /\.[NE]\./.test(name)) return undefined;
  const stem = name.slice(0, -suffix.length);
  // Numbers of up to four digits without leading zeros, so that each tensor has one spelling.
  const layer = /^(?:model\.layers|blk)\.(0|[1-9]\d{0,3})\./.exec(stem)?.[1];
  const pattern = stem.replace(`.${layer}.`, '.N.').replace(/\.experts\.(?:0|[1-9]\d{0,3})\./, '.experts.E.');
  const spelling = spellings().find((candidate) => candidate[from] === pattern);
  if (spelling === undefined) return undefined;
  return spelling[from === 0 ? 1 : 0].replace('.N.', `.${layer}.`) + suffix;
}
