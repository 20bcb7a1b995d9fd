import { readFile } from 'node:fs/promises';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { configFromGguf } from '../config/config-from-gguf.ts';
import type { Phi3Config, PhiMoeConfig } from '../config/model-config.ts';
import { parsePhi3Config } from '../config/parse-phi3-config.ts';
import { createByteSource } from '../create-byte-source.ts';
import { openFileSource } from '../node/open-file-source.ts';
import { type GgufFileType, ggufFileTypeId } from './gguf-file-type.ts';
import { ggufMetadataOf } from './gguf-metadata-of.ts';
import { ggufVocabulary, untrustedChatTemplate } from './gguf-vocabulary.ts';
import { ggufVocabularyOf } from './gguf-vocabulary-of.ts';
import { openGguf } from './open-gguf.ts';
import { encodeGguf } from './write-gguf.ts';

const json = (value: object) => new TextEncoder().encode(JSON.stringify(value));
const mini = {
  model_type: 'phi3',
  architectures: ['Phi3ForCausalLM'],
  hidden_size: 3072,
  intermediate_size: 8192,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 32,
  vocab_size: 32064,
  max_position_embeddings: 4096,
  original_max_position_embeddings: 4096,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  rope_scaling: null,
  sliding_window: 2047,
  hidden_act: 'silu',
  bos_token_id: 1,
  eos_token_id: 32000,
  pad_token_id: 32000,
};
const long = (type: string) => ({
  ...mini,
  hidden_size: 8,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  max_position_embeddings: 131072,
  sliding_window: 262144,
  vocab_size: 4,
  bos_token_id: 1,
  eos_token_id: [2],
  pad_token_id: 0,
  rope_scaling: { type, short_factor: [1, 1.25], long_factor: [1.5, 40.25] },
});

/** The configuration back from a file with these metadata and an embedding of zeros. */
async function configBack(config: ReturnType<typeof parsePhi3Config>) {
  const { metadata, tensors } = ggufMetadataOf(config);
  const bytes = new Uint8Array(4 * config.vocabSize * config.hiddenSize);
  const embedding = { name: 'token_embd.weight', format: 'F32', shape: [config.vocabSize, config.hiddenSize], bytes };
  const matrices = config.tieWordEmbeddings ? [embedding] : [embedding, { ...embedding, name: 'output.weight' }];
  // What a mixture of experts has is told from its tensors.
  const zeros = (name: string, size: number) => ({
    name,
    format: 'F32' as const,
    shape: [size],
    bytes: new Uint8Array(4 * size),
  });
  const biases =
    config.modelType === 'phimoe'
      ? [
          ...(config.attentionBias ? [zeros('blk.0.attn_q.bias', config.hiddenSize)] : []),
          ...(config.lmHeadBias ? [zeros('output.bias', config.vocabSize)] : []),
        ]
      : [];
  const file = encodeGguf({ metadata, tensors: [...matrices, ...biases, ...tensors] });
  return configFromGguf(await openGguf(createByteSource(file, 'back.gguf')));
}

describe('ggufMetadataOf', () => {
  it.each([
    ['longrope', long('longrope')],
    ['yarn', long('yarn')],
    [
      'a stated mscale',
      { ...long('longrope'), rope_scaling: { ...long('su').rope_scaling, short_mscale: 1.5, long_mscale: 1.5 } },
    ],
    [
      'tied embeddings and a partial rotation',
      { ...long('su'), tie_word_embeddings: true, head_dim: 8, partial_rotary_factor: 0.5 },
    ],
  ])('is the inverse of configFromGguf: %s', async (_, source) => {
    const config = parsePhi3Config(json(source));
    // Ids come with the vocabulary, which is left out here; the epsilon is kept as float32.
    const withoutIds = { bosTokenId: undefined, eosTokenIds: [], padTokenId: undefined };
    const rmsNormEps = Math.fround((config as Phi3Config).rmsNormEps);
    const { warnings } = await configBack(config);
    expect(await configBack(config)).toEqual({ ...config, ...withoutIds, rmsNormEps, warnings });
  });

  it.each([
    ['with biases', { attention_bias: true, lm_head_bias: true }],
    ['without', {}],
  ])('is the inverse of configFromGguf for a mixture of experts: %s', async (_, biases) => {
    const experts = {
      model_type: 'phimoe',
      architectures: ['PhiMoEForCausalLM'],
      num_local_experts: 4,
      num_experts_per_tok: 2,
    };
    const { rope_scaling } = long('longrope');
    const mscales = { ...rope_scaling, short_mscale: 1.243163121016122, long_mscale: 1.243163121016122 };
    const source = { ...long('longrope'), ...experts, ...biases, rope_scaling: mscales };
    const config = parsePhi3Config(json(source));
    const back = await configBack(config);
    // Ids come with the vocabulary; reals are kept as float32.
    const mscale = Math.fround(1.243163121016122);
    expect(back).toEqual({
      ...config,
      bosTokenId: undefined,
      eosTokenIds: [],
      padTokenId: undefined,
      rmsNormEps: Math.fround(1e-5),
      ropeScaling: { ...config.ropeScaling, shortMscale: mscale, longMscale: mscale },
      warnings: back.warnings,
    });
    expect(ggufMetadataOf(config).metadata.get('phimoe.expert_count')).toEqual({ type: 'uint32', value: 4 });
    expect(() => ggufMetadataOf({ ...config, routerJitterNoise: 0.1 } as PhiMoeConfig)).toThrow(
      /CF_UNSUPPORTED.*jitter/,
    );
  });

  it('refuses what GGUF has no place for', () => {
    const mscales = { ...long('longrope').rope_scaling, short_mscale: 1.1, long_mscale: 1.3 };
    const config = parsePhi3Config(json({ ...long('longrope'), rope_scaling: mscales }));
    expect(() => ggufMetadataOf(config)).toThrow(/CF_UNSUPPORTED .*long_mscale/);
    expect(() => ggufMetadataOf({ ...config, modelType: 'phi3small' } as never)).toThrow(/CF_MODEL_TYPE/);
    expect(() => ggufMetadataOf(config, { nmae: 'x' } as never)).toThrow(/OPTION_UNKNOWN/);
    expect(() => ggufFileTypeId('Q3' as GgufFileType)).toThrow(/ARGUMENT ggufFileTypeId/);
  });
});

describeWithShared('against llama.cpp’s own file of Phi-3-mini', 'tokenizers/gguf/ggml-vocab-phi-3.gguf', () => {
  const folder = sharedPath('tokenizers/phi-3-mini');
  const files = async (name: string) => new Uint8Array(await readFile(`${folder}/${name}`));

  it('gives the same metadata', async () => {
    const recorded = await openGguf(await openFileSource(sharedPath('tokenizers/gguf/ggml-vocab-phi-3.gguf')));
    const config = parsePhi3Config(json(mini));
    const tokenizerConfig = await files('tokenizer_config.json');
    const vocabulary = ggufVocabularyOf(await files('tokenizer.json'), config, { tokenizerConfig });
    const { metadata } = ggufMetadataOf(config, {
      name: 'Phi3',
      fileType: 'F16',
      vocabulary,
      chatTemplate: untrustedChatTemplate(recorded),
    });
    for (const [key, value] of recorded.metadata) {
      if (key === 'tokenizer.ggml.token_type' || key === 'tokenizer.ggml.add_bos_token') continue; // below
      expect([key, metadata.get(key)?.type]).toEqual([key, recorded.metadata.typeOf(key)]);
      expect([key, metadata.get(key)?.value]).toEqual([key, value]);
    }
    // Later than that file: the window, the type of the file, and rows without a token, which are now "unused" (5), not
    // "unknown" (2).
    const newer = [...metadata.keys()].filter((key) => !recorded.metadata.has(key));
    expect(newer).toEqual(['general.type', 'phi3.attention.sliding_window']);
    const types = ggufVocabulary(recorded).tokenTypes!;
    expect(vocabulary.tokenTypes!.map((type, id) => (type === 5 && id >= 32011 ? 2 : type))).toEqual(types);
    await recorded.close();
  });
});

describe('ggufVocabularyOf', () => {
  const config = { vocabSize: 6, bosTokenId: 4, eosTokenIds: [], padTokenId: undefined };
  const tokenizer = (lies: object = {}, model: object = {}) =>
    json({
      added_tokens: [{ id: 4, content: '<s>', special: true }],
      post_processor: { single: [{ SpecialToken: { id: '<s>' } }, { Sequence: { id: 'A' } }] },
      model: {
        type: 'BPE',
        byte_fallback: true,
        unk_token: null,
        vocab: { a: 0, b: 1, ab: 2, abb: 3 },
        merges: ['a b', 'ab b'],
        ...model,
      },
      ...lies,
    });

  it('by hand', () => {
    const vocabulary = ggufVocabularyOf(tokenizer(), config);
    expect(vocabulary).toMatchObject({ model: 'llama', addBosToken: true, addEosToken: false, bosTokenId: 4 });
    expect(vocabulary.tokens).toEqual(['a', 'b', 'ab', 'abb', '<s>', '[PAD5]']);
    expect([...vocabulary.scores!]).toEqual([0, -1, -2, -3, -1000, -10000]);
    expect([...vocabulary.tokenTypes!]).toEqual([1, 1, 1, 1, 3, 5]);
    // What tokenizer_config.json says wins.
    const tokenizerConfig = json({ add_bos_token: false, eos_token: { content: 'abb' } });
    expect(ggufVocabularyOf(tokenizer(), config, { tokenizerConfig })).toMatchObject({
      addBosToken: false,
      eosTokenId: 3,
    });
  });

  it('follows the order of the merges where ids do not', () => {
    const vocab = { a: 0, b: 1, abb: 2, ab: 3 };
    const merges = [
      ['a', 'b'],
      ['ab', 'b'],
    ]; // pairs, as later files have them
    const { scores } = ggufVocabularyOf(tokenizer({}, { vocab, merges }), config);
    expect([...scores!.subarray(0, 4)]).toEqual([-2, -3, -1, 0]);
  });

  it.each([
    ['no JSON', new TextEncoder().encode('{'), /GG_TOKENIZER/],
    ['a list', json([]), /GG_TOKENIZER .*an object/],
    ['bytes in place of SentencePiece', tokenizer({}, { byte_fallback: false }), /GG_TOKENIZER .*byte_fallback/],
    ['an id past the embedding', tokenizer({}, { vocab: { a: 6 } }), /GG_TOKENIZER .*below vocab_size, 6/],
    ['an id twice', tokenizer({}, { vocab: { a: 0, b: 0 } }), /GG_TOKENIZER .*every id once/],
    ['a merge that gives nothing', tokenizer({}, { merges: ['b a'] }), /GG_TOKENIZER .*model\.merges\[0\]/],
    ['no merges', tokenizer({}, { merges: null }), /GG_TOKENIZER .*model\.merges/],
    ['an added token without text', tokenizer({ added_tokens: [{ id: 4 }] }), /GG_TOKENIZER .*added_tokens\[0\]/],
  ])('rejects %s', (_, bytes, message) => {
    expect(() => ggufVocabularyOf(bytes, config)).toThrow(message);
  });
});
