import { type ConfigFields, unreadWarning } from './config-fields.ts';
import type { CommonConfig, ModelConfig, Phi3Config, Phi3SmallConfig, PhiMoeConfig } from './model-config.ts';
import { readRopeFields } from './read-rope-scaling.ts';
import { readEmbdLayer, readImgProcessor } from './read-vision-fields.ts';

/** llama.cpp wrote out of bounds for a larger number once; the deepest published member has 40. */
const mostLayers = 1024;

/** Phi-3.5-MoE has 16. */
const mostExperts = 1024;

/** Fields of published files that say nothing about the numbers of a forward pass. */
const inertFields = [
  '_attn_implementation',
  '_name_or_path',
  'architectures',
  'attention_dropout',
  'attention_dropout_prob',
  'auto_map',
  'dtype',
  'embd_pdrop',
  'embedding_dropout_prob',
  'ffn_dropout_prob',
  'hidden_dropout',
  'initializer_range',
  'input_jitter_noise',
  'model_type',
  'output_router_logits',
  'pad_sequence_to_multiple_of_64',
  'reorder_and_upcast_attn',
  'resid_pdrop',
  'router_aux_loss_coef',
  'torch_dtype',
  'transformers_version',
  'use_cache',
];

/** Reads the fields of any member. @internal */
export function readModelConfig(fields: ConfigFields, warnings: readonly string[] = []): ModelConfig {
  const modelType = readModelType(fields);
  fields.ignore(inertFields);
  const quantization = fields.value('quantization_config');
  if (quantization !== undefined) {
    throw fields.error(
      'CF_QUANTIZATION',
      'quantization_config',
      'a checkpoint in F32, F16 or BF16',
      quantization,
      'Take the checkpoint as it was published, or a GGUF file for quantized weights',
    );
  }
  switch (modelType) {
    case 'phi3':
      return readPhi3(fields, warnings);
    case 'phi3small':
      return readPhi3Small(fields, warnings);
    case 'phimoe':
      return readPhiMoe(fields, warnings);
    case 'phi3_v':
      return finish(fields, {
        modelType,
        ...readCommon(fields, warnings),
        hiddenAct: readSilu(fields),
        rmsNormEps: fields.positive('rms_norm_eps', 1e-5),
        imgProcessor: readImgProcessor(fields),
        embdLayer: readEmbdLayer(fields),
      });
  }
}

function readModelType(fields: ConfigFields): ModelConfig['modelType'] {
  const classes: Record<ModelConfig['modelType'], readonly string[]> = {
    phi3: ['Phi3ForCausalLM'],
    phi3small: ['Phi3SmallForCausalLM'],
    phimoe: ['PhiMoEForCausalLM', 'PhimoeForCausalLM'],
    phi3_v: ['Phi3VForCausalLM'],
  };
  const supported = Object.keys(classes) as ModelConfig['modelType'][];
  const given = fields.value('model_type');
  const modelType = supported.find((type) => type === given);
  if (modelType === undefined) {
    throw fields.error('CF_MODEL_TYPE', 'model_type', `one of ${supported.join(', ')}`, given);
  }
  const architectures = fields.value('architectures');
  if (architectures === undefined) return modelType;
  const isKnown =
    Array.isArray(architectures) && architectures.every((name: unknown) => classes[modelType].includes(String(name)));
  if (!isKnown || architectures.length === 0) {
    const expected = `${classes[modelType].join(' or ')} for model_type ${modelType}`;
    throw fields.error('CF_MODEL_TYPE', 'architectures', expected, architectures);
  }
  return modelType;
}

function readPhi3(fields: ConfigFields, warnings: readonly string[]): Phi3Config {
  // Phi-4-mini states these with the values that the class computes.
  for (const name of ['attention_bias', 'mlp_bias', 'lm_head_bias']) fields.only(name, false);
  for (const name of ['full_attn_mod', 'interpolate_factor']) fields.only(name, 1);
  return finish(fields, {
    modelType: 'phi3',
    ...readCommon(fields, warnings),
    hiddenAct: readSilu(fields),
    rmsNormEps: fields.positive('rms_norm_eps', 1e-5),
  });
}

function readPhiMoe(fields: ConfigFields, warnings: readonly string[]): PhiMoeConfig {
  const common = readCommon(fields, warnings);
  const numLocalExperts = fields.size('num_local_experts', undefined, mostExperts);
  const numExpertsPerTok = fields.size('num_experts_per_tok', 2, mostExperts);
  if (numExpertsPerTok > numLocalExperts) {
    const expected = `at most num_local_experts, ${numLocalExperts}`;
    throw fields.error('CF_EXPERTS', 'num_experts_per_tok', expected, numExpertsPerTok);
  }
  if (numExpertsPerTok !== 2) {
    const expected = '2: the sparse mixer is defined for two experts';
    throw fields.error('CF_EXPERTS', 'num_experts_per_tok', expected, numExpertsPerTok);
  }
  return finish(fields, {
    modelType: 'phimoe',
    ...common,
    hiddenAct: readSilu(fields),
    rmsNormEps: fields.positive('rms_norm_eps', 1e-5),
    numLocalExperts,
    numExpertsPerTok,
    routerJitterNoise: fields.number('router_jitter_noise', 0, 1, 0.01),
    attentionBias: fields.boolean('attention_bias', false),
    lmHeadBias: fields.boolean('lm_head_bias', false),
  });
}

function readPhi3Small(fields: ConfigFields, warnings: readonly string[]): Phi3SmallConfig {
  fields.only('hidden_act', 'gegelu');
  // Read for honesty's sake: the published code has biases whatever this field says.
  fields.boolean('attention_bias', false);
  const common = readCommon(fields, warnings, {
    intermediateSize: smallIntermediateSize(fields),
    tieWordEmbeddings: true,
    thetaName: 'rope_embedding_base',
    theta: 1_000_000,
  });
  const blockSize = fields.size('blocksparse_block_size', 64);
  const kernelBlockSize = fields.size('blocksparse_triton_kernel_block_size', blockSize);
  if (blockSize % kernelBlockSize !== 0) {
    throw fields.error(
      'CF_BLOCK_SPARSE',
      'blocksparse_triton_kernel_block_size',
      `a divisor of blocksparse_block_size, ${blockSize}`,
      kernelBlockSize,
    );
  }
  return finish(fields, {
    modelType: 'phi3small',
    ...common,
    hiddenAct: 'gegelu',
    layerNormEpsilon: fields.positive('layer_norm_epsilon', 1e-5),
    gegeluLimit: isNull(fields, 'gegelu_limit') ? undefined : fields.positive('gegelu_limit', 20),
    mupUseScaling: fields.boolean('mup_use_scaling', true),
    mupWidthMultiplier: fields.positive('mup_width_multiplier', 8),
    mupEmbeddingMultiplier: fields.positive('mup_embedding_multiplier', 10),
    mupAttnMultiplier: fields.positive('mup_attn_multiplier', 1),
    ropePositionScale: fields.positive('rope_position_scale', 1),
    blocksparseBlockSize: blockSize,
    blocksparseNumLocalBlocks: fields.size('blocksparse_num_local_blocks', 16),
    blocksparseVertStride: fields.size('blocksparse_vert_stride', 8),
    blocksparseHomoHeadPattern: fields.boolean('blocksparse_homo_head_pattern', false),
    denseAttentionEveryNLayers: isNull(fields, 'dense_attention_every_n_layers')
      ? undefined
      : fields.size('dense_attention_every_n_layers', 2),
    dummyTokenIndices: fields.has('dummy_token_indices')
      ? fields.tokenIds('dummy_token_indices', common.vocabSize)
      : publishedDummyTokens(common.vocabSize),
  });
}

/** Null says "none" where an absent field says "as published". */
function isNull(fields: ConfigFields, name: string): boolean {
  return fields.has(name) && fields.value(name) === undefined;
}

/**
 * Either the width itself, or a multiple of two thirds of the hidden size, rounded up to a multiple of 256.
 * Source: `configuration_phi3_small.py` as published with the checkpoint, property `intermediate_size`.
 */
function smallIntermediateSize(fields: ConfigFields): number {
  const multiplier = fields.optionalSize('ff_dim_multiplier');
  const stated = fields.optionalSize('ff_intermediate_size');
  const isPadded = fields.boolean('gegelu_pad_to_256', true);
  if (multiplier !== undefined && stated !== undefined) {
    throw fields.fieldError('ff_dim_multiplier', 'null, because ff_intermediate_size is given', multiplier);
  }
  if (multiplier === undefined) return fields.size('ff_intermediate_size');
  const size = multiplier * Math.floor(fields.size('hidden_size') / 3) * 2;
  return isPadded ? Math.ceil(size / 256) * 256 : size;
}

/**
 * The ids that the published tokenizer of Phi-3-small does not use. Its code takes them from there when the configuration
 * has no list, and only for that vocabulary are they known.
 */
function publishedDummyTokens(vocabSize: number): readonly number[] {
  if (vocabSize !== 100352) return Object.freeze([]);
  const ids = [100256, 100258, 100259, 100260, 100264, 100265];
  for (let id = 100267; id < vocabSize; id++) ids.push(id);
  return Object.freeze(ids);
}

function readSilu(fields: ConfigFields): 'silu' {
  fields.only('hidden_act', 'silu');
  return 'silu';
}

type Defaults = { intermediateSize?: number; tieWordEmbeddings: boolean; thetaName: string; theta: number };

function readCommon(
  fields: ConfigFields,
  warnings: readonly string[],
  defaults: Defaults = { tieWordEmbeddings: false, thetaName: 'rope_theta', theta: 10000 },
): CommonConfig {
  const vocabSize = fields.size('vocab_size');
  const hiddenSize = fields.size('hidden_size');
  const numAttentionHeads = fields.size('num_attention_heads');
  const numKeyValueHeads = fields.size('num_key_value_heads', numAttentionHeads);
  if (numAttentionHeads % numKeyValueHeads !== 0) {
    const expected = `a divisor of num_attention_heads, ${numAttentionHeads}`;
    throw fields.error('CF_HEADS', 'num_key_value_heads', expected, numKeyValueHeads);
  }
  const statedHeadDim = fields.optionalSize('head_dim');
  if (statedHeadDim === undefined && hiddenSize % numAttentionHeads !== 0) {
    const expected = `a multiple of num_attention_heads, ${numAttentionHeads}`;
    throw fields.error('CF_HEADS', 'hidden_size', expected, hiddenSize);
  }
  const headDim = statedHeadDim ?? hiddenSize / numAttentionHeads;
  if (headDim % 2 !== 0) {
    const name = statedHeadDim === undefined ? 'hidden_size' : 'head_dim';
    throw fields.error('CF_HEADS', name, 'heads of an even size', headDim);
  }
  const maxPositionEmbeddings = fields.size('max_position_embeddings');
  const slidingWindow = fields.optionalSize('sliding_window');
  const rope = readRopeFields(fields, headDim, maxPositionEmbeddings, defaults.thetaName, defaults.theta);
  const all = [...warnings];
  if (fields.has('auto_map')) {
    all.push('auto_map names code beside the checkpoint; it is not run, the model is computed by this library.');
  }
  return {
    vocabSize,
    hiddenSize,
    intermediateSize: defaults.intermediateSize ?? fields.size('intermediate_size'),
    numHiddenLayers: fields.size('num_hidden_layers', undefined, mostLayers),
    numAttentionHeads,
    numKeyValueHeads,
    headDim,
    maxPositionEmbeddings,
    ...rope,
    slidingWindow: slidingWindow !== undefined && slidingWindow < maxPositionEmbeddings ? slidingWindow : undefined,
    tieWordEmbeddings: fields.boolean('tie_word_embeddings', defaults.tieWordEmbeddings),
    bosTokenId: fields.tokenId('bos_token_id', vocabSize),
    eosTokenIds: fields.tokenIds('eos_token_id', vocabSize),
    padTokenId: fields.tokenId('pad_token_id', vocabSize),
    warnings: all,
  };
}

function finish<Config extends ModelConfig>(fields: ConfigFields, config: Config): Config {
  const unread = fields.unread();
  const warnings = unread.length > 0 ? [...config.warnings, unreadWarning(fields.file, unread)] : [...config.warnings];
  const finished = { ...config, warnings: Object.freeze(warnings) };
  Object.freeze(finished);
  return finished;
}
