import { isPhi3Error } from '@phiblocks/tensor';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type configErrorCodes, expectVocabularyFits, parseGenerationConfig, parsePhi3Config } from '../src/index.ts';

// One row or more per case of the catalogue of bad input; the id stands first in the title.

const factors = [1, 1, 1.5, 2, 3, 4, 5, 6];
const ropeScaling = { type: 'longrope', short_factor: factors, long_factor: factors };
const phi3 = {
  architectures: ['Phi3ForCausalLM'],
  model_type: 'phi3',
  vocab_size: 100,
  hidden_size: 64,
  intermediate_size: 112,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 512,
  original_max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_scaling: ropeScaling,
  sliding_window: 100,
  bos_token_id: 1,
  eos_token_id: [2, 3],
  pad_token_id: 0,
};
const small = {
  ...phi3,
  architectures: ['Phi3SmallForCausalLM'],
  model_type: 'phi3small',
  intermediate_size: undefined,
  ff_intermediate_size: 112,
  rope_embedding_base: 10000,
  sliding_window: undefined,
  rms_norm_eps: undefined,
};
const moe = { ...phi3, architectures: ['PhiMoEForCausalLM'], model_type: 'phimoe', num_local_experts: 4 };
const vision = {
  ...phi3,
  architectures: ['Phi3VForCausalLM'],
  model_type: 'phi3_v',
  img_processor: { name: 'clip_vision_model', image_dim_out: 1024, num_img_tokens: 144 },
  embd_layer: {
    embedding_cls: 'image',
    hd_transform_order: 'sub_glb',
    projection_cls: 'mlp',
    use_hd_transform: true,
    with_learnable_separator: true,
  },
};

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const bytesOf = (file: object | string | Uint8Array): Uint8Array =>
  file instanceof Uint8Array ? file : encode(typeof file === 'string' ? file : JSON.stringify(file));

type Row = [
  id: string,
  input: string,
  file: object | string | Uint8Array,
  code: keyof typeof configErrorCodes,
  key?: string,
];

const scaled = (changes: object): object => ({ ...phi3, rope_scaling: { ...ropeScaling, ...changes } });
/** The valid file with one number written as given. */
const withText = (field: string, text: string): string =>
  JSON.stringify({ ...phi3, [field]: '@' }).replace('"@"', text);

const rows: Row[] = [
  ['CF-01', 'not JSON', 'model_type: phi3', 'CF_PARSE'],
  ['CF-01', 'empty', '', 'CF_PARSE'],
  ['CF-01', 'a list', '[]', 'CF_PARSE'],
  ['CF-01', 'null', 'null', 'CF_PARSE'],
  ['CF-01', 'over 1 MB', `${' '.repeat(1_000_000)}{}`, 'CF_PARSE'],
  ['CF-01', 'nested 9 deep', `{"a":${'['.repeat(8)}${']'.repeat(8)}}`, 'CF_PARSE'],
  ['CF-01', 'nested 100,000 deep', `{"a":${'['.repeat(100_000)}`, 'CF_PARSE'],
  ['CF-01', 'not UTF-8', Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d), 'CF_PARSE'],
  ['CF-03', 'unknown model type', { ...phi3, model_type: 'llama' }, 'CF_MODEL_TYPE', 'model_type'],
  ['CF-03', 'no model type', { ...phi3, model_type: undefined }, 'CF_MODEL_TYPE', 'model_type'],
  ['CF-03', 'model type __proto__', { ...phi3, model_type: '__proto__' }, 'CF_MODEL_TYPE', 'model_type'],
  [
    'CF-03',
    'architecture of another type',
    { ...phi3, architectures: moe.architectures },
    'CF_MODEL_TYPE',
    'architectures',
  ],
  ['CF-03', 'no architecture', { ...phi3, architectures: [] }, 'CF_MODEL_TYPE', 'architectures'],
  ['CF-03', 'architecture as text', { ...phi3, architectures: 'Phi3ForCausalLM' }, 'CF_MODEL_TYPE', 'architectures'],
  ...[
    'vocab_size',
    'hidden_size',
    'intermediate_size',
    'num_hidden_layers',
    'num_attention_heads',
    'num_key_value_heads',
  ]
    .flatMap((field) => [0, -1, 1.5, '64', true, [], 2 ** 30].map((value) => [field, value] as const))
    .map(
      ([field, value]): Row => [
        'CF-04',
        `${field} ${JSON.stringify(value)}`,
        { ...phi3, [field]: value },
        'CF_FIELD',
        field,
      ],
    ),
  ['CF-04', 'vocab_size missing', { ...phi3, vocab_size: undefined }, 'CF_FIELD_MISSING', 'vocab_size'],
  ['CF-04', 'hidden_size null', { ...phi3, hidden_size: null }, 'CF_FIELD_MISSING', 'hidden_size'],
  [
    'CF-04',
    'no feed-forward width in phi3small',
    { ...small, ff_intermediate_size: null },
    'CF_FIELD_MISSING',
    'ff_intermediate_size',
  ],
  [
    'CF-04',
    'two feed-forward widths in phi3small',
    { ...small, ff_dim_multiplier: 4 },
    'CF_FIELD',
    'ff_dim_multiplier',
  ],
  ['CF-05', '64 over 3 heads', { ...phi3, num_attention_heads: 3, num_key_value_heads: 1 }, 'CF_HEADS', 'hidden_size'],
  ['CF-06', '4 heads over 3', { ...phi3, num_key_value_heads: 3 }, 'CF_HEADS', 'num_key_value_heads'],
  ['CF-06', '4 heads over 8', { ...phi3, num_key_value_heads: 8 }, 'CF_HEADS', 'num_key_value_heads'],
  ['CF-07', 'odd heads', { ...phi3, hidden_size: 60 }, 'CF_HEADS', 'hidden_size'],
  ['CF-07', 'odd head_dim', { ...phi3, head_dim: 15 }, 'CF_HEADS', 'head_dim'],
  ['CF-07', 'odd rotating part', { ...phi3, partial_rotary_factor: 0.7 }, 'CF_HEADS', 'partial_rotary_factor'],
  ['CF-07', 'no rotating part', { ...phi3, partial_rotary_factor: 0.01 }, 'CF_HEADS', 'partial_rotary_factor'],
  [
    'CF-07',
    'more than the whole rotates',
    { ...phi3, partial_rotary_factor: 1.5 },
    'CF_HEADS',
    'partial_rotary_factor',
  ],
  ['CF-08', '1,025 layers', { ...phi3, num_hidden_layers: 1025 }, 'CF_FIELD', 'num_hidden_layers'],
  ['CF-10', 'short list missing', scaled({ short_factor: undefined }), 'CF_ROPE_SCALING', 'rope_scaling.short_factor'],
  ['CF-10', 'long list null', scaled({ long_factor: null }), 'CF_ROPE_SCALING', 'rope_scaling.long_factor'],
  [
    'CF-10',
    'long list too short',
    scaled({ long_factor: factors.slice(1) }),
    'CF_ROPE_SCALING',
    'rope_scaling.long_factor',
  ],
  [
    'CF-10',
    'list for the whole head when half rotates',
    { ...phi3, partial_rotary_factor: 0.5 },
    'CF_ROPE_SCALING',
    'rope_scaling.short_factor',
  ],
  ['CF-10', 'a text', { ...phi3, rope_scaling: 'longrope' }, 'CF_ROPE_SCALING', 'rope_scaling'],
  ...[0, -1, null, '1', [1]].map(
    (value): Row => [
      'CF-11',
      `factor ${JSON.stringify(value)}`,
      scaled({ long_factor: [...factors.slice(1), value] }),
      'CF_ROPE_SCALING',
      'rope_scaling.long_factor[7]',
    ],
  ),
  ['CF-11', 'mscale 0', scaled({ short_mscale: 0 }), 'CF_ROPE_SCALING', 'rope_scaling.short_mscale'],
  ['CF-11', 'mscale text', scaled({ long_mscale: '1' }), 'CF_ROPE_SCALING', 'rope_scaling.long_mscale'],
  ['CF-12', 'type linear', scaled({ type: 'linear' }), 'CF_ROPE_SCALING', 'rope_scaling.type'],
  ['CF-12', 'no type', scaled({ type: undefined }), 'CF_ROPE_SCALING', 'rope_scaling.type'],
  ['CF-12', 'two types', scaled({ rope_type: 'yarn' }), 'CF_ROPE_SCALING', 'rope_scaling.rope_type'],
  [
    'CF-13',
    'original length missing',
    { ...phi3, original_max_position_embeddings: null },
    'CF_ROPE_SCALING',
    'original_max_position_embeddings',
  ],
  [
    'CF-13',
    'original length as long as the context',
    { ...phi3, original_max_position_embeddings: 512 },
    'CF_ROPE_SCALING',
    'original_max_position_embeddings',
  ],
  [
    'CF-13',
    'original length 1',
    { ...phi3, original_max_position_embeddings: 1 },
    'CF_ROPE_SCALING',
    'original_max_position_embeddings',
  ],
  [
    'CF-13',
    'two original lengths',
    scaled({ original_max_position_embeddings: 32 }),
    'CF_ROPE_SCALING',
    'original_max_position_embeddings',
  ],
  ['CF-14', '10^12 positions', { ...phi3, max_position_embeddings: 1e12 }, 'CF_FIELD', 'max_position_embeddings'],
  [
    'CF-14',
    '2^24 + 1 positions',
    { ...phi3, max_position_embeddings: 2 ** 24 + 1 },
    'CF_FIELD',
    'max_position_embeddings',
  ],
  ...[0, -1e-5, '1e-5'].map(
    (value): Row => [
      'CF-15',
      `epsilon ${JSON.stringify(value)}`,
      { ...phi3, rms_norm_eps: value },
      'CF_FIELD',
      'rms_norm_eps',
    ],
  ),
  ['CF-15', 'epsilon NaN', withText('rms_norm_eps', 'NaN'), 'CF_PARSE'],
  ['CF-16', 'window 0', { ...phi3, sliding_window: 0 }, 'CF_FIELD', 'sliding_window'],
  ['CF-16', 'window -1', { ...phi3, sliding_window: -1 }, 'CF_FIELD', 'sliding_window'],
  ...[
    'blocksparse_block_size',
    'blocksparse_vert_stride',
    'blocksparse_num_local_blocks',
    'dense_attention_every_n_layers',
  ].map((field): Row => ['CF-17', `${field} 0`, { ...small, [field]: 0 }, 'CF_FIELD', field]),
  [
    'CF-17',
    'kernel blocks that do not divide blocks',
    { ...small, blocksparse_block_size: 64, blocksparse_triton_kernel_block_size: 48 },
    'CF_BLOCK_SPARSE',
    'blocksparse_triton_kernel_block_size',
  ],
  ['CF-18', 'no experts', { ...moe, num_local_experts: 0 }, 'CF_FIELD', 'num_local_experts'],
  ['CF-18', 'experts missing', { ...moe, num_local_experts: undefined }, 'CF_FIELD_MISSING', 'num_local_experts'],
  ['CF-18', 'more per token than there are', { ...moe, num_experts_per_tok: 5 }, 'CF_EXPERTS', 'num_experts_per_tok'],
  ['CF-18', 'three per token', { ...moe, num_experts_per_tok: 3 }, 'CF_EXPERTS', 'num_experts_per_tok'],
  ['CF-18', 'jitter -0.1', { ...moe, router_jitter_noise: -0.1 }, 'CF_FIELD', 'router_jitter_noise'],
  [
    'CF-19',
    'quantized',
    { ...phi3, quantization_config: { quant_method: 'gptq', bits: 4 } },
    'CF_QUANTIZATION',
    'quantization_config',
  ],
  ['CF-20', 'end outside the vocabulary', { ...phi3, eos_token_id: 100 }, 'CF_TOKEN_ID', 'eos_token_id'],
  ['CF-20', 'one of the ends', { ...phi3, eos_token_id: [2, -1] }, 'CF_TOKEN_ID', 'eos_token_id[1]'],
  ['CF-20', 'end as text', { ...phi3, eos_token_id: '2' }, 'CF_TOKEN_ID', 'eos_token_id'],
  ['CF-20', 'padding 1.5', { ...phi3, pad_token_id: 1.5 }, 'CF_TOKEN_ID', 'pad_token_id'],
  ['CF-20', 'unused id outside', { ...small, dummy_token_indices: [100] }, 'CF_TOKEN_ID', 'dummy_token_indices[0]'],
  ['CF-21', '1e400', withText('rope_theta', '1e400'), 'CF_PARSE'],
  ['CF-21', '2^53 + 1', withText('vocab_size', '9007199254740993'), 'CF_FIELD', 'vocab_size'],
  ['CF-22', 'duplicate key', '{"model_type":"phi3","model_type":"phi3"}', 'CF_DUPLICATE_KEY', 'model_type'],
  [
    'CF-22',
    '__proto__ as the only place of a field',
    `{"__proto__":${JSON.stringify(phi3)}}`,
    'CF_MODEL_TYPE',
    'model_type',
  ],
  // Not in the catalogue: what would be another model than the one that is computed.
  ['', 'another activation', { ...phi3, hidden_act: 'gelu' }, 'CF_UNSUPPORTED', 'hidden_act'],
  ['', 'biases that the class does not have', { ...phi3, attention_bias: true }, 'CF_UNSUPPORTED', 'attention_bias'],
  [
    '',
    'another vision tower',
    { ...vision, img_processor: { ...vision.img_processor, name: 'siglip' } },
    'CF_UNSUPPORTED',
    'img_processor.name',
  ],
  [
    '',
    'another order of the image',
    { ...vision, embd_layer: { ...vision.embd_layer, hd_transform_order: 'glb_sub' } },
    'CF_UNSUPPORTED',
    'embd_layer.hd_transform_order',
  ],
  [
    '',
    'the order of the image missing',
    { ...vision, embd_layer: {} },
    'CF_FIELD_MISSING',
    'embd_layer.hd_transform_order',
  ],
  ['', 'no vision tower', { ...vision, img_processor: null }, 'CF_FIELD_MISSING', 'img_processor'],
  [
    '',
    'features of another width',
    { ...vision, img_processor: { ...vision.img_processor, image_dim_out: 768 } },
    'CF_FIELD',
    'img_processor.image_dim_out',
  ],
  [
    '',
    'tower whose heads do not divide',
    { ...vision, img_processor: { ...vision.img_processor, clip_config: { num_attention_heads: 7 } } },
    'CF_HEADS',
    'img_processor.clip_config.hidden_size',
  ],
  [
    '',
    'crops of an odd number of patches',
    { ...vision, img_processor: { ...vision.img_processor, clip_config: { image_size: 350 } } },
    'CF_FIELD',
    'img_processor.clip_config.image_size',
  ],
];

describe('the valid files are valid', () => {
  it.each([phi3, small, moe, vision])('$model_type', (config) => {
    expect(parsePhi3Config(bytesOf(config)).warnings).toEqual([]);
  });
});

describe('rejected', () => {
  it.each(rows)('%s %s', (_, __, file, code, key) => {
    const start = performance.now();
    let error: unknown;
    try {
      parsePhi3Config(bytesOf(file));
      expect.fail('was accepted');
    } catch (caught) {
      error = caught;
    }
    expect(error).toMatchObject({ code, function: 'parsePhi3Config', where: { file: 'config.json' } });
    if (key !== undefined) expect(error).toMatchObject({ where: { key } });
    expect(performance.now() - start).toBeLessThan(500); // takes a millisecond; the catalogue asks for 50
  });

  it('CF-03 the supported types are listed', () => {
    expect(() => parsePhi3Config(bytesOf({ model_type: 'gpt2' }))).toThrow(
      "CF_MODEL_TYPE parsePhi3Config: expected one of phi3, phi3small, phimoe, phi3_v, got 'gpt2' (file config.json, key model_type)",
    );
  });

  it('CF-19 it says what is supported', () => {
    expect(() => parsePhi3Config(bytesOf({ ...phi3, quantization_config: {} }))).toThrow(/F32, F16 or BF16.*GGUF/);
  });

  it('options', () => {
    expect(() => parsePhi3Config(bytesOf(phi3), { name: 'x' } as object)).toThrow(/^OPTION_UNKNOWN/);
    expect(() => parsePhi3Config(bytesOf('[]'), { file: 'x.json' })).toThrow(/file x\.json/);
  });
});

describe('accepted', () => {
  const parse = (file: object | string) => parsePhi3Config(bytesOf(file));

  it('CF-02 auto_map is noted, never run', () => {
    const { warnings } = parse({ ...phi3, auto_map: { AutoModelForCausalLM: 'modeling_phi3.Phi3ForCausalLM' } });
    expect(warnings).toEqual([
      'auto_map names code beside the checkpoint; it is not run, the model is computed by this library.',
    ]);
  });

  it('CF-09 more rows than tokens, not fewer', () => {
    expectVocabularyFits({ vocabSize: 32064 }, { embeddingRows: 32064, numTokens: 32011 });
    expectVocabularyFits({ vocabSize: 32064 }, {});
    expect(() => expectVocabularyFits({ vocabSize: 32064 }, { embeddingRows: 32000 })).toThrow(
      'CF_VOCABULARY expectVocabularyFits(embeddingRows): expected at least vocab_size, 32064 rows, got 32000',
    );
    expect(() => expectVocabularyFits({ vocabSize: 32000 }, { numTokens: 32011 })).toThrow(/^CF_VOCABULARY/);
  });

  it('CF-08 1,024 layers, CF-14 2^24 positions', () => {
    expect(parse({ ...phi3, num_hidden_layers: 1024 }).numHiddenLayers).toBe(1024);
    expect(parse({ ...phi3, max_position_embeddings: 2 ** 24 }).maxPositionEmbeddings).toBe(2 ** 24);
  });

  it('CF-12 su is longrope', () => {
    expect(parse(scaled({ type: 'su' })).ropeScaling).toEqual(parse(phi3).ropeScaling);
    expect(parse(scaled({ type: 'su', rope_type: 'longrope' })).ropeScaling?.type).toBe('longrope');
  });

  it('CF-13 the original length inside rope_scaling only', () => {
    const file = { ...phi3, original_max_position_embeddings: undefined };
    const rope_scaling = { ...ropeScaling, original_max_position_embeddings: 32 };
    expect(parse({ ...file, rope_scaling })).toMatchObject({
      originalMaxPositionEmbeddings: 32,
      ropeScaling: { originalMaxPositionEmbeddings: 32 },
    });
  });

  it('CF-16 a window no smaller than the context is off', () => {
    expect(parse({ ...phi3, sliding_window: 511 }).slidingWindow).toBe(511);
    expect(parse({ ...phi3, sliding_window: 512 }).slidingWindow).toBeUndefined();
    expect(parse({ ...phi3, sliding_window: 262144 }).slidingWindow).toBeUndefined();
    expect(parse({ ...phi3, sliding_window: null }).slidingWindow).toBeUndefined();
  });

  it('CF-17 null for the dense layers means none, null for the limit no clamp', () => {
    expect(parse({ ...small, dense_attention_every_n_layers: null, gegelu_limit: null })).toMatchObject({
      denseAttentionEveryNLayers: undefined,
      gegeluLimit: undefined,
    });
  });

  it('CF-20 one end, several, none', () => {
    expect(parse({ ...phi3, eos_token_id: 2 }).eosTokenIds).toEqual([2]);
    expect(parse({ ...phi3, eos_token_id: [2, 3, 2] }).eosTokenIds).toEqual([2, 3]);
    expect(parse({ ...phi3, eos_token_id: null }).eosTokenIds).toEqual([]);
  });

  it('CF-22 __proto__ beside the fields is one more field that nobody reads', () => {
    const config = parse(`{"__proto__":{"hiddenSize":1},${JSON.stringify(phi3).slice(1)}`);
    expect(config.hiddenSize).toBe(64);
    expect(config.warnings).toEqual(['config.json has fields that are not read: __proto__.']);
  });

  it('unread fields are named, also in objects inside, escaped and not without end', () => {
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`x${i}\u001b`, i]));
    const [warning] = parse({ ...phi3, ...many, rope_scaling: { ...ropeScaling, factor: 32 } }).warnings;
    expect(warning).toMatch(/^config\.json has fields that are not read: x0\\u001b, .* and 13 more\.$/);
  });
});

describe('generation_config.json', () => {
  const parse = (file: object | string) => parseGenerationConfig(bytesOf(file), { vocabSize: 32064 });

  it('everything', () => {
    const config = parse({
      _from_model_config: true,
      bos_token_id: 1,
      eos_token_id: [32000, 32001, 32007],
      pad_token_id: 32000,
      do_sample: true,
      temperature: 0.7,
      top_p: 0.9,
      top_k: 40,
      repetition_penalty: 1.1,
      max_new_tokens: 256,
      num_beams: 4,
    });
    expect(config).toEqual({
      eosTokenIds: [32000, 32001, 32007],
      bosTokenId: 1,
      padTokenId: 32000,
      doSample: true,
      temperature: 0.7,
      topP: 0.9,
      topK: 40,
      repetitionPenalty: 1.1,
      maxNewTokens: 256,
      warnings: ['generation_config.json has fields that are not read: num_beams.'],
    });
    expect(Object.isFrozen(config)).toBe(true);
  });

  it('nothing', () => {
    expect(parse({})).toMatchObject({ eosTokenIds: [], temperature: undefined, warnings: [] });
  });

  it.each([
    [{ eos_token_id: 32064 }, 'CF_TOKEN_ID'],
    [{ temperature: -1 }, 'CF_FIELD'],
    [{ temperature: '1' }, 'CF_FIELD'],
    [{ top_p: 1.1 }, 'CF_FIELD'],
    [{ top_k: 1.5 }, 'CF_FIELD'],
    [{ repetition_penalty: 0 }, 'CF_FIELD'],
    [{ max_new_tokens: 0 }, 'CF_FIELD'],
    [{ do_sample: 1 }, 'CF_FIELD'],
    ['[]', 'CF_PARSE'],
  ])('%j: %s', (file, code) => {
    expect(() => parse(file)).toThrow(new RegExp(`^${code} parseGenerationConfig`));
  });
});

describe('properties', () => {
  it('any JSON in any field is a typed error or a configuration', () => {
    const fields = fc.constantFrom(...Object.keys({ ...phi3, ...small, ...moe, ...vision }));
    fc.assert(
      fc.property(
        fc.constantFrom(phi3, small, moe, vision),
        fc.dictionary(fields, fc.oneof(fc.jsonValue(), fc.integer({ min: 1, max: 2 ** 20 })), { maxKeys: 3 }),
        (base, changes) => {
          try {
            parsePhi3Config(bytesOf({ ...base, ...changes }));
          } catch (error) {
            if (!isPhi3Error(error)) throw error;
          }
        },
      ),
      { seed: 21, numRuns: 1500 },
    );
  });

  it('so is any cut or flipped byte', () => {
    const valid = bytesOf(vision);
    for (let i = 0; i < valid.length; i++) {
      const flipped = valid.slice();
      flipped[i]! ^= 1 << (i % 8);
      for (const bytes of [valid.slice(0, i), flipped]) {
        try {
          parsePhi3Config(bytes);
        } catch (error) {
          if (!isPhi3Error(error)) throw error;
        }
      }
    }
  });
});

it('every case of the catalogue has a test', () => {
  const elsewhere = ['CF-02', 'CF-09'];
  const all = Array.from({ length: 22 }, (_, i) => `CF-${String(i + 1).padStart(2, '0')}`);
  expect([...new Set([...rows.map(([id]) => id).filter((id) => id !== ''), ...elsewhere])].sort()).toEqual(all);
});
