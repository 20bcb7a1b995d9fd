import type { GgufFile } from '../gguf/open-gguf.ts';
import { tensorNotFound } from '../safetensors/open-safetensors.ts';
import { ConfigFields } from './config-fields.ts';
import { expectVocabularyFits } from './expect-vocabulary-fits.ts';
import type { ModelConfig } from './model-config.ts';
import { readModelConfig } from './read-model-config.ts';

/**
 * The configuration of a GGUF file of architecture `phi3` or `phimoe`, checked as a `config.json` is.
 *
 * What a GGUF file says differently:
 * - The vocabulary size is the number of rows of `token_embd.weight`; embeddings are tied where `output.weight` is absent.
 * - The factor lists are the tensors `rope_factors_short.weight` and `rope_factors_long.weight`, read here. They and the
 *   epsilon are float32 values, as the published code uses them.
 * - `rope.scaling.attn_factor` is the float32 of the formula for the attention factor (of `longrope`, or of `yarn`, which
 *   is how the two are told apart); then the formula is used. Any other number becomes `shortMscale` and `longMscale`.
 * - A sliding window of 0 is off. Files from before July 2024 have no such key; they get the window of the member that
 *   their sizes tell, as llama.cpp gave it.
 * - Converters drop two things of Phi-3.5-MoE: its mscale, restored here for a file of its sizes, and its router jitter,
 *   for which the published 0.01 stands.
 *
 * Source: llama.cpp `conversion/phi.py` (once `convert_hf_to_gguf.py`), `Phi3MiniModel` and `PhiMoeModel`; for old files
 * `src/llama-model.cpp`, `LLM_ARCH_PHI3`, before its pull request 13676.
 *
 * @param gguf - an open file
 * @returns frozen; what was assumed is in `warnings`
 * @throws Phi3Error `CF_MODEL_TYPE` for another architecture, `GG_KEY_MISSING` and `GG_KEY_TYPE` for missing or mistyped
 * metadata, other `CF_…` for values that do not fit, `TENSOR_NOT_FOUND` for a file without weights
 * @example
 * const header = [0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0, ...new Array(16).fill(0)];
 * const gguf = await openGguf(createByteSource(new Uint8Array(header), 'empty.gguf'));
 * const error = await configFromGguf(gguf).catch((error) => error);
 * error.code; // => 'GG_KEY_MISSING'
 */
export async function configFromGguf(gguf: GgufFile): Promise<ModelConfig> {
  const { metadata, tensors } = gguf;
  const file = [...gguf.sources.keys()][0] ?? 'gguf';
  const translator = new FieldTranslator(file);
  const architecture = translator.set('model_type', 'general.architecture', metadata.getString('general.architecture'));
  if (architecture !== 'phi3' && architecture !== 'phimoe') {
    throw translator.fields().error('CF_MODEL_TYPE', 'model_type', 'phi3 or phimoe', architecture);
  }
  const integer = (name: string, key: string): number =>
    translator.set(name, `${architecture}.${key}`, metadata.getInteger(`${architecture}.${key}`));
  const hiddenSize = integer('hidden_size', 'embedding_length');
  const numLayers = integer('num_hidden_layers', 'block_count');
  const numHeads = integer('num_attention_heads', 'attention.head_count');
  const numKeyValueHeads = integer('num_key_value_heads', 'attention.head_count_kv');
  const contextLength = integer('max_position_embeddings', 'context_length');
  integer('intermediate_size', 'feed_forward_length');

  const real = (name: string, key: string): void =>
    translator.find(name, `${architecture}.${key}`, metadata.findNumber(`${architecture}.${key}`));
  real('rms_norm_eps', 'attention.layer_norm_rms_epsilon');
  real('rope_theta', 'rope.freq_base');
  real('head_dim', 'attention.key_length');
  real('original_max_position_embeddings', 'rope.scaling.original_context_length');
  const headDim = metadata.findInteger(`${architecture}.attention.key_length`) ?? hiddenSize / numHeads;
  const rotaryDimKey = `${architecture}.rope.dimension_count`;
  const rotaryDim = metadata.findInteger(rotaryDimKey);
  if (rotaryDim !== undefined) {
    translator.set('partial_rotary_factor', rotaryDimKey, partialFactor(rotaryDim, headDim));
  }

  readVocabulary(gguf, translator, hiddenSize);
  slidingWindow(gguf, architecture, translator, { numLayers, numKeyValueHeads, contextLength });
  let isPhi35Moe = false;
  if (architecture === 'phimoe') {
    const numExperts = integer('num_local_experts', 'expert_count');
    integer('num_experts_per_tok', 'expert_used_count');
    translator.set('attention_bias', 'blk.0.attn_q.bias', tensors.has('blk.0.attn_q.bias'));
    translator.set('lm_head_bias', 'output.bias', tensors.has('output.bias'));
    translator.warn('GGUF files do not keep router_jitter_noise; the published 0.01 is used.');
    isPhi35Moe = numExperts === 16 && hiddenSize === 4096 && contextLength === 131072;
  }
  await ropeScaling(gguf, architecture, translator, contextLength, isPhi35Moe);
  return readModelConfig(translator.fields(), [...gguf.warnings, ...translator.warnings]);
}

/** Collects the fields of a `config.json`, and from where in the GGUF file each comes. */
class FieldTranslator {
  readonly warnings: string[] = [];
  private readonly values = new Map<string, unknown>();
  private readonly spelling = new Map<string, string>();
  private readonly file: string;

  constructor(file: string) {
    this.file = file;
  }

  set<T>(name: string, from: string, value: T): T {
    this.values.set(name, value);
    this.spelling.set(name, from);
    return value;
  }

  find(name: string, from: string, value: unknown): void {
    if (value !== undefined) this.set(name, from, value);
  }

  /** Says from where the fields inside `rope_scaling` come. */
  spell(name: string, from: string): void {
    this.spelling.set(name, from);
  }

  warn(sentence: string): void {
    this.warnings.push(sentence);
  }

  fields(): ConfigFields {
    return new ConfigFields('configFromGguf', this.file, this.values, '', this.spelling);
  }
}

function readVocabulary(gguf: GgufFile, translator: FieldTranslator, hiddenSize: number): void {
  const { metadata, tensors } = gguf;
  const embedding = tensors.get('token_embd.weight');
  if (embedding === undefined) {
    throw tensorNotFound('configFromGguf', 'token_embd.weight', [...gguf.sources.keys()].join(', '));
  }
  const [vocabSize, width] = embedding.shape;
  if (embedding.shape.length !== 2 || width !== hiddenSize) {
    throw translator.fields().fieldError('hidden_size', `${width}, the width of token_embd.weight`, hiddenSize);
  }
  translator.set('vocab_size', 'token_embd.weight', vocabSize!);
  translator.set('tie_word_embeddings', 'output.weight', !tensors.has('output.weight'));
  const numTokens = metadata.findStringArray('tokenizer.ggml.tokens')?.length;
  expectVocabularyFits({ vocabSize: vocabSize! }, { numTokens });

  const idOf = (name: string): number | undefined => metadata.findInteger(`tokenizer.ggml.${name}_token_id`);
  translator.find('bos_token_id', 'tokenizer.ggml.bos_token_id', idOf('bos'));
  translator.find('pad_token_id', 'tokenizer.ggml.padding_token_id', idOf('padding'));
  const ends = [idOf('eos'), idOf('eot')].filter((id) => id !== undefined);
  translator.set('eos_token_id', 'tokenizer.ggml.eos_token_id', ends);
}

/** The factor of which `trunc(headDim · factor)` is `rotaryDim` again, in spite of rounding. */
function partialFactor(rotaryDim: number, headDim: number): number {
  const factor = rotaryDim / headDim;
  return Math.trunc(headDim * factor) === rotaryDim ? factor : (rotaryDim + 2 ** -20) / headDim;
}

function slidingWindow(
  gguf: GgufFile,
  architecture: string,
  translator: FieldTranslator,
  sizes: { numLayers: number; numKeyValueHeads: number; contextLength: number },
): void {
  const key = `${architecture}.attention.sliding_window`;
  const stated = gguf.metadata.findInteger(key);
  if (stated !== undefined) {
    if (stated !== 0) translator.set('sliding_window', key, stated); // 0 is how converters write "none"
    return;
  }
  const assumed = architecture === 'phi3' ? windowOfMember(sizes) : undefined;
  if (assumed === undefined) return;
  translator.set('sliding_window', key, assumed);
  translator.warn(
    `The file has no sliding window, as those from before July 2024; ${assumed} is assumed for its sizes.`,
  );
}

/** Phi-3-mini and -medium as released. Where the window is no smaller than the context it is off. */
function windowOfMember(sizes: {
  numLayers: number;
  numKeyValueHeads: number;
  contextLength: number;
}): number | undefined {
  const { numLayers, numKeyValueHeads, contextLength } = sizes;
  if ((numLayers === 32 || numLayers === 40) && contextLength === 4096) return 2047;
  if (numLayers === 32 && numKeyValueHeads === 32 && contextLength === 131072) return 262144;
  if (numLayers === 40 && contextLength === 131072) return 131072;
  return undefined;
}

/** `short_mscale` and `long_mscale` of Phi-3.5-MoE's `config.json`. */
const phi35MoeMscale = 1.243163121016122;

async function ropeScaling(
  gguf: GgufFile,
  architecture: string,
  translator: FieldTranslator,
  contextLength: number,
  isPhi35Moe: boolean,
): Promise<void> {
  const { metadata, tensors } = gguf;
  const short = 'rope_factors_short.weight';
  const long = 'rope_factors_long.weight';
  const typeKey = `${architecture}.rope.scaling.type`;
  const attnFactorKey = `${architecture}.rope.scaling.attn_factor`;
  translator.spell('rope_scaling.type', typeKey);
  translator.spell('rope_scaling.short_factor', short);
  translator.spell('rope_scaling.long_factor', long);
  translator.spell('rope_scaling.short_mscale', attnFactorKey);

  const stated = metadata.findString(typeKey) ?? 'longrope';
  if (!tensors.has(short) && !tensors.has(long)) {
    if (!metadata.has(typeKey) || stated === 'none') return;
    // Without lists this is rejected, with the key that asks for them.
    translator.set('rope_scaling', typeKey, new Map([['type', stated === 'longrope' ? stated : `${stated} of GGUF`]]));
    return;
  }
  const original = metadata.findInteger(`${architecture}.rope.scaling.original_context_length`) ?? Number.NaN;
  const scaling = new Map<string, unknown>([
    ['type', 'longrope'],
    ['short_factor', await readFactors(gguf, translator, short)],
    ['long_factor', await readFactors(gguf, translator, long)],
  ]);
  translator.set('rope_scaling', short, scaling);

  const attnFactor = metadata.findNumber(attnFactorKey);
  const scale = contextLength / original;
  // What converters compute, rounded to float32.
  const isRounded = (formula: number): boolean => Math.fround(attnFactor ?? 0) === Math.fround(formula);
  if (attnFactor === undefined) {
    translator.warn('The file has factor lists and no attention factor; it is computed from the two context lengths.');
  } else if (isRounded(Math.sqrt(1 + Math.log(scale) / Math.log(original)))) {
    if (isPhi35Moe) {
      scaling.set('short_mscale', phi35MoeMscale).set('long_mscale', phi35MoeMscale);
      translator.warn(
        `Converters lose the mscale of Phi-3.5-MoE and write ${attnFactor}; the published ${phi35MoeMscale} is used.`,
      );
    }
  } else if (isRounded(0.1 * Math.log(scale) + 1)) {
    scaling.set('type', 'yarn');
  } else {
    scaling.set('short_mscale', attnFactor).set('long_mscale', attnFactor);
    translator.warn(`The attention factor ${attnFactor} of the file is used; the context lengths would give another.`);
  }
}

/** Checked for its size before it is read: a factor list is a vector of a few dozen numbers. */
async function readFactors(gguf: GgufFile, translator: FieldTranslator, name: string): Promise<number[]> {
  const tensor = gguf.tensors.get(name);
  if (tensor !== undefined && (tensor.shape.length !== 1 || tensor.shape[0]! > 65536)) {
    const field = name.includes('short') ? 'rope_scaling.short_factor' : 'rope_scaling.long_factor';
    throw translator.fields().error('CF_ROPE_SCALING', field, 'a vector', tensor.shape);
  }
  return Array.from((await gguf.readFloats(name)).data);
}
