"""What each text member is: its configuration in the published keys, its chat format and its training."""

from tokenizer import BASE, added_tokens

#: Rows of the embedding: 64 above the pieces, as published; Phi-3-small has 96.
VOCAB_SIZE = BASE + 64
TRAINING_LENGTH = 256


def _ids(style):
    return {token['content']: token['id'] for token in added_tokens(style)}


def phi3_config(**changes):
    """A configuration of model type phi3 with the keys of Phi-3-mini-4k-instruct; `changes` replace or add values."""
    ids = _ids('phi-3-mini')
    return {
        'architectures': ['Phi3ForCausalLM'], 'attention_bias': False, 'attention_dropout': 0.0, 'bos_token_id': 1,
        'embd_pdrop': 0.0, 'eos_token_id': ids['<|endoftext|>'], 'hidden_act': 'silu', 'hidden_size': 256,
        'initializer_range': 0.02, 'intermediate_size': 512, 'max_position_embeddings': 2 * TRAINING_LENGTH,
        'model_type': 'phi3', 'num_attention_heads': 4, 'num_hidden_layers': 4, 'num_key_value_heads': 4,
        'original_max_position_embeddings': 2 * TRAINING_LENGTH, 'pad_token_id': ids['<|endoftext|>'], 'resid_pdrop': 0.0,
        'rms_norm_eps': 1e-05, 'rope_scaling': None, 'rope_theta': 10000.0, 'sliding_window': TRAINING_LENGTH // 2 - 1,
        'tie_word_embeddings': False, 'torch_dtype': 'bfloat16', 'use_cache': True, 'vocab_size': VOCAB_SIZE, **changes}


def phi3_small_config(**changes):
    """A configuration with the keys of Phi-3-small-8k-instruct: small blocks, so that sparsity begins within 256 tokens.

    Scores are as wide as those of the other members: with the published multiplier of 1 they would be a sixth of that, and
    heads would take as much longer to learn where to look.
    """
    ids = _ids('phi-3-small')
    usable = {ids[name] for name in ('<|endoftext|>', '<|system|>', '<|user|>', '<|assistant|>', '<|end|>')}
    return {
        'architectures': ['Phi3SmallForCausalLM'], 'attention_bias': False, 'attention_dropout_prob': 0.0,
        'blocksparse_block_size': 16, 'blocksparse_homo_head_pattern': False, 'blocksparse_num_local_blocks': 6,
        'blocksparse_triton_kernel_block_size': 16, 'blocksparse_vert_stride': 4, 'bos_token_id': ids['<|endoftext|>'],
        'dense_attention_every_n_layers': 2, 'embedding_dropout_prob': 0.1, 'eos_token_id': ids['<|endoftext|>'],
        'ff_dim_multiplier': None, 'ff_intermediate_size': 256, 'ffn_dropout_prob': 0.1, 'gegelu_limit': 20.0,
        'gegelu_pad_to_256': True, 'hidden_act': 'gegelu', 'hidden_size': 256, 'initializer_range': 0.02,
        'layer_norm_epsilon': 1e-05, 'max_position_embeddings': TRAINING_LENGTH, 'model_type': 'phi3small',
        'mup_attn_multiplier': 32 ** 0.5, 'mup_embedding_multiplier': 10.0, 'mup_use_scaling': True,
        'mup_width_multiplier': 8.0, 'num_attention_heads': 8, 'num_hidden_layers': 4, 'num_key_value_heads': 2,
        'pad_sequence_to_multiple_of_64': True, 'reorder_and_upcast_attn': False, 'rope_embedding_base': 1000000,
        'rope_position_scale': 1.0, 'torch_dtype': 'bfloat16', 'use_cache': True, 'vocab_size': BASE + 96,
        'dummy_token_indices': sorted(set(range(BASE, BASE + 96)) - usable), **changes}


def phi_moe_config(**changes):
    """A configuration with the keys of Phi-3.5-MoE-instruct, with four experts, of which two work, and plain positions."""
    ids = _ids('phi-3-mini')
    return {
        'architectures': ['PhiMoEForCausalLM'], 'attention_bias': True, 'attention_dropout': 0.0, 'bos_token_id': 1,
        'eos_token_id': ids['<|endoftext|>'], 'hidden_act': 'silu', 'hidden_dropout': 0.0, 'hidden_size': 256,
        'initializer_range': 0.02, 'input_jitter_noise': 0.01, 'intermediate_size': 256, 'lm_head_bias': True,
        'max_position_embeddings': TRAINING_LENGTH, 'model_type': 'phimoe', 'num_attention_heads': 8,
        'num_experts_per_tok': 2, 'num_hidden_layers': 3, 'num_key_value_heads': 2, 'num_local_experts': 4,
        'original_max_position_embeddings': TRAINING_LENGTH, 'output_router_logits': False, 'rms_norm_eps': 1e-05,
        'rope_scaling': None, 'rope_theta': 10000.0, 'router_aux_loss_coef': 0.01, 'router_jitter_noise': 0.01,
        'sliding_window': 2 * TRAINING_LENGTH, 'tie_word_embeddings': False, 'torch_dtype': 'bfloat16', 'use_cache': True,
        'vocab_size': VOCAB_SIZE, **changes}


def generation_config(style):
    """The contents of `generation_config.json`: every id that ends an answer."""
    ids = _ids(style)
    names = ['<|endoftext|>', '<|end|>'] if style == 'phi-3-small' else ['<|endoftext|>', '<|assistant|>', '<|end|>']
    if style == 'phi-3-vision':
        names = ['</s>'] + names
    bos = ids['<|endoftext|>'] if style == 'phi-3-small' else 1
    return {'bos_token_id': bos, 'eos_token_id': [ids[name] for name in names], 'pad_token_id': ids['<|endoftext|>']}


#: config, flags of the added tokens, chat format, and how many tokens each phase is trained on. Where a member differs: the weights of
#: tasks in its conversations, the 4-bit formats that late steps round to in turn (`q4_0` and nothing), and the progress of
#: the second half of the conversations at which they begin to, and whether they round what files round (`fake_quantization.py`).
MEMBERS = {
    'nano-mini': {'config': phi3_config(num_attention_heads=8, num_key_value_heads=8, intermediate_size=256),
                  'style': 'phi-3-mini', 'template': 'phi-3-mini',
                  'tokens': {'patterns': 160_000, 'general': 100_000, 'reasoning': 150_000, 'chat': 4_000_000,
                             'preferences': 40_000}},
    'nano-medium': {'config': phi3_config(num_attention_heads=8, num_key_value_heads=2, num_hidden_layers=3,
                                          intermediate_size=256, max_position_embeddings=TRAINING_LENGTH,
                                          original_max_position_embeddings=TRAINING_LENGTH),
                    'style': 'phi-3-mini', 'template': 'phi-3-medium',
                    'tokens': {'patterns': 160_000, 'general': 100_000, 'reasoning': 150_000, 'chat': 2_200_000,
                             'preferences': 30_000}},
    'nano-small': {'config': phi3_small_config(), 'style': 'phi-3-small', 'template': 'phi-3-small',
                   'tokens': {'patterns': 160_000, 'general': 100_000, 'reasoning': 150_000, 'chat': 3_600_000,
                             'preferences': 30_000}},
    'nano-moe': {'config': phi_moe_config(), 'style': 'phi-3-mini', 'template': 'phi-3.5-mini',
                 'weights': {'comparison': 6, 'word problems': 6}, 'rounding': ('q4_k', 'q4_0', None), 'rounded_from': 0.0,
                 'as_files': True,
                 'tokens': {'patterns': 160_000, 'general': 100_000, 'reasoning': 150_000, 'chat': 4_800_000,
                             'preferences': 30_000}},
}
