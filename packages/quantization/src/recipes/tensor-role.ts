/** What a weight does in its model, as far as recipes tell weights apart. */
export type TensorRole =
  | 'embedding'
  | 'head'
  | 'attentionInput'
  | 'attentionOutput'
  | 'feedForwardUp'
  | 'feedForwardDown'
  | 'router'
  | 'other';

/**
 * The role of a tensor by its name, in GGUF's spelling or in that of the published checkpoints.
 *
 * Everything below a vision tower is `other`, and so is every name that is not known.
 *
 * Source: names of llama.cpp `gguf-py/gguf/constants.py` and of the Phi-3 checkpoints.
 *
 * @example
 * tensorRole('blk.7.ffn_down.weight'); // => 'feedForwardDown'
 * tensorRole('model.layers.7.mlp.down_proj.weight'); // => 'feedForwardDown'
 * tensorRole('output_norm.weight'); // => 'other'
 */
export function tensorRole(tensorName: string): TensorRole {
  const parts = tensorName.split('.');
  if (parts.at(-1) === 'bias' || parts.some((part) => part === 'vision_embed_tokens' || part === 'img_processor')) {
    return 'other';
  }
  const last = parts.at(-1) === 'weight' ? parts.at(-2) : parts.at(-1);
  switch (last) {
    case 'token_embd':
    case 'embed_tokens':
      return 'embedding';
    case 'output':
    case 'lm_head':
      return 'head';
    case 'attn_qkv':
    case 'attn_q':
    case 'attn_k':
    case 'attn_v':
    case 'qkv_proj':
    case 'q_proj':
    case 'k_proj':
    case 'v_proj':
    case 'query_key_value':
      return 'attentionInput';
    case 'attn_output':
    case 'o_proj':
    case 'dense':
      return 'attentionOutput';
    case 'ffn_up':
    case 'ffn_gate':
    case 'ffn_up_exps':
    case 'ffn_gate_exps':
    case 'gate_up_proj':
    case 'up_proj':
    case 'gate_proj':
    case 'w1':
    case 'w3':
      return 'feedForwardUp';
    case 'ffn_down':
    case 'ffn_down_exps':
    case 'down_proj':
    case 'w2':
      return 'feedForwardDown';
    case 'ffn_gate_inp':
    case 'gate':
      return 'router';
    default:
      return 'other';
  }
}
