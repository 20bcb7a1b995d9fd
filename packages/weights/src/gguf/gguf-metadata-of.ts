import { encodeFloats, expectKnownOptions, Phi3Error } from '@phiblocks/tensor';
import type { ConfigErrorCode } from '../config/error-codes.ts';
import type { ModelConfig, Phi3Config, PhiMoeConfig } from '../config/model-config.ts';
import { type GgufFileType, ggufFileTypeId } from './gguf-file-type.ts';
import type { TypedGgufValue } from './gguf-value.ts';
import type { GgufVocabulary } from './gguf-vocabulary.ts';
import type { GgufTensorInMemory } from './write-gguf.ts';

/** What a GGUF file says besides a configuration. */
export interface GgufModelOptions {
  /** For people: `general.name`. */
  name?: string | undefined;
  fileType?: GgufFileType | undefined;
  /** From `ggufVocabularyOf`, or `ggufVocabulary` of another file. A file without one gives no text. */
  vocabulary?: GgufVocabulary | undefined;
  /** The text of the chat template, kept as it is. */
  chatTemplate?: string | undefined;
}

/** The part of a GGUF file that does not come from the weights. */
export interface GgufModelMetadata {
  readonly metadata: ReadonlyMap<string, TypedGgufValue>;
  /** `rope_factors_long.weight` and `rope_factors_short.weight` for a long-context model, else none. */
  readonly tensors: readonly GgufTensorInMemory[];
}

/**
 * The metadata of a GGUF file of architecture `phi3` or `phimoe`, as llama.cpp's converter writes it from the files of a
 * checkpoint; the inverse of {@link configFromGguf} and {@link ggufVocabulary}. Where a configuration states an mscale, as
 * that of Phi-3.5-MoE does, it is written as the attention factor; the converter loses it.
 *
 * Source: llama.cpp `conversion/phi.py` (once `convert_hf_to_gguf.py`), `Phi3MiniModel` and `PhiMoeModel`;
 * `gguf-py/gguf/vocab.py`.
 *
 * @param config - of Phi3ForCausalLM or PhiMoEForCausalLM
 * @returns metadata and the tensors of the factor lists
 * @throws Phi3Error `CF_MODEL_TYPE` for another model type; `CF_UNSUPPORTED` for two different mscales, for which GGUF has
 * one place, and for a router jitter other than the published 0.01, for which it has none; `OPTION_UNKNOWN`
 * @throws ArgumentError `ARGUMENT` for an unknown file type
 * @example
 * const json = { model_type: 'phi3', hidden_size: 8, intermediate_size: 16, num_hidden_layers: 1,
 *   num_attention_heads: 2, vocab_size: 32, max_position_embeddings: 64 };
 * const config = parsePhi3Config(new TextEncoder().encode(JSON.stringify(json)));
 * const { metadata } = ggufMetadataOf(config, { name: 'tiny', fileType: 'F16' });
 * metadata.get('phi3.embedding_length'); // => { type: 'uint32', value: 8 }
 */
export function ggufMetadataOf(config: ModelConfig, options: GgufModelOptions = {}): GgufModelMetadata {
  expectKnownOptions('ggufMetadataOf', options, ['name', 'fileType', 'vocabulary', 'chatTemplate']);
  const { name, fileType, vocabulary, chatTemplate } = options;
  if (config.modelType !== 'phi3' && config.modelType !== 'phimoe') {
    throw unsupported('CF_MODEL_TYPE', 'model_type', 'phi3 or phimoe', config.modelType);
  }
  const { modelType: architecture } = config;
  const metadata = new Map<string, TypedGgufValue>([['general.architecture', { type: 'string', value: architecture }]]);
  const setText = (key: string, value: string | undefined): void => {
    if (value !== undefined) metadata.set(key, { type: 'string', value });
  };
  const setSize = (key: string, value: number | undefined): void => {
    if (value !== undefined) metadata.set(key, { type: 'uint32', value });
  };
  const setReal = (key: string, value: number): void => {
    metadata.set(key, { type: 'float32', value: Math.fround(value) });
  };
  setText('general.type', 'model');
  setText('general.name', name);
  setSize('general.file_type', fileType && ggufFileTypeId(fileType));
  setSize(`${architecture}.context_length`, config.maxPositionEmbeddings);
  setSize(`${architecture}.rope.scaling.original_context_length`, config.originalMaxPositionEmbeddings);
  setSize(`${architecture}.embedding_length`, config.hiddenSize);
  setSize(`${architecture}.feed_forward_length`, config.intermediateSize);
  setSize(`${architecture}.block_count`, config.numHiddenLayers);
  setSize(`${architecture}.attention.head_count`, config.numAttentionHeads);
  setSize(`${architecture}.attention.head_count_kv`, config.numKeyValueHeads);
  if (config.headDim * config.numAttentionHeads !== config.hiddenSize) {
    setSize(`${architecture}.attention.key_length`, config.headDim);
    setSize(`${architecture}.attention.value_length`, config.headDim);
  }
  setReal(`${architecture}.attention.layer_norm_rms_epsilon`, config.rmsNormEps);
  setSize(`${architecture}.rope.dimension_count`, Math.trunc(config.headDim * config.partialRotaryFactor));
  setReal(`${architecture}.rope.freq_base`, config.ropeTheta);
  setSize(`${architecture}.attention.sliding_window`, config.slidingWindow ?? 0); // 0 is how converters write "none"
  if (config.ropeScaling !== undefined) setReal(`${architecture}.rope.scaling.attn_factor`, attentionFactor(config));
  if (config.modelType === 'phimoe') {
    if (config.routerJitterNoise !== publishedJitter) {
      throw unsupported(
        'CF_UNSUPPORTED',
        'router_jitter_noise',
        `${publishedJitter}, as readers assume`,
        config.routerJitterNoise,
      );
    }
    setSize(`${architecture}.expert_count`, config.numLocalExperts);
    setSize(`${architecture}.expert_used_count`, config.numExpertsPerTok);
  }
  setSize('general.quantization_version', 2);
  if (vocabulary !== undefined) addVocabulary(metadata, vocabulary);
  setText('tokenizer.chat_template', chatTemplate);
  return { metadata, tensors: factorTensors(config) };
}

/** `router_jitter_noise` of Phi-3.5-MoE's `config.json`. */
const publishedJitter = 0.01;

function addVocabulary(metadata: Map<string, TypedGgufValue>, vocabulary: GgufVocabulary): void {
  const set = (key: string, type: TypedGgufValue['type'], value: TypedGgufValue['value'] | undefined): void => {
    if (value !== undefined) metadata.set(`tokenizer.ggml.${key}`, { type, value });
  };
  set('model', 'string', vocabulary.model);
  set('pre', 'string', vocabulary.preTokenizer);
  set('tokens', 'string[]', vocabulary.tokens);
  set('scores', 'float32[]', vocabulary.scores);
  set('token_type', 'int32[]', vocabulary.tokenTypes);
  set('merges', 'string[]', vocabulary.merges);
  set('bos_token_id', 'uint32', vocabulary.bosTokenId);
  set('eos_token_id', 'uint32', vocabulary.eosTokenId);
  set('eot_token_id', 'uint32', vocabulary.eotTokenId);
  set('unknown_token_id', 'uint32', vocabulary.unknownTokenId);
  set('padding_token_id', 'uint32', vocabulary.paddingTokenId);
  set('add_bos_token', 'bool', vocabulary.addBosToken);
  set('add_eos_token', 'bool', vocabulary.addEosToken);
  set('add_space_prefix', 'bool', vocabulary.addSpacePrefix);
}

/** The formulas of the converter, or the one number that the configuration states instead. */
function attentionFactor(config: Phi3Config | PhiMoeConfig): number {
  const { type, shortMscale, longMscale } = config.ropeScaling!;
  if (shortMscale !== longMscale) {
    const got = `${shortMscale} and ${longMscale}`;
    throw unsupported('CF_UNSUPPORTED', 'rope_scaling.long_mscale', 'the same number as short_mscale', got);
  }
  if (shortMscale !== undefined) return shortMscale;
  const scale = config.maxPositionEmbeddings / config.originalMaxPositionEmbeddings;
  if (type === 'yarn') return 0.1 * Math.log(scale) + 1;
  return Math.sqrt(1 + Math.log(scale) / Math.log(config.originalMaxPositionEmbeddings));
}

function factorTensors({ ropeScaling }: Phi3Config | PhiMoeConfig): GgufTensorInMemory[] {
  if (ropeScaling === undefined) return [];
  const lists = [
    ['rope_factors_long.weight', ropeScaling.longFactor],
    ['rope_factors_short.weight', ropeScaling.shortFactor],
  ] as const;
  return lists.map(([name, factors]) => {
    const bytes = encodeFloats(Float32Array.from(factors), 'F32');
    return { name, format: 'F32', shape: [factors.length], bytes };
  });
}

function unsupported(code: ConfigErrorCode, key: string, expected: string, got: unknown): Phi3Error<ConfigErrorCode> {
  const hint =
    'GGUF has architectures for Phi3ForCausalLM and PhiMoEForCausalLM, and no place for some of their settings';
  return new Phi3Error({ code, function: 'ggufMetadataOf', argument: 'config', expected, got, where: { key }, hint });
}
