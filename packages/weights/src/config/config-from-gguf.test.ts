import { type ForgedTensor, type ForgedValue, forgeGguf, ggml } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { createCountingSource } from '../../test/counting-source.ts';
import { openGguf } from '../gguf/open-gguf.ts';
import { configFromGguf } from './config-from-gguf.ts';
import { parsePhi3Config } from './parse-phi3-config.ts';

// The attention factor by the published formula, as converters compute it.
const longropeFactor = (scale: number, original: number): number => Math.sqrt(1 + Math.log(scale) / Math.log(original));

type Metadata = Map<string, ForgedValue>;
const u32 = (value: number): ForgedValue => ({ type: 'uint32', value });
const f32 = (value: number): ForgedValue => ({ type: 'float32', value });

function metadataOf(architecture: string, changes: Record<string, ForgedValue | undefined> = {}): Metadata {
  const metadata: Metadata = new Map<string, ForgedValue>([
    ['general.architecture', { type: 'string', value: architecture }],
    [`${architecture}.context_length`, u32(512)],
    [`${architecture}.rope.scaling.original_context_length`, u32(64)],
    [`${architecture}.embedding_length`, u32(64)],
    [`${architecture}.feed_forward_length`, u32(96)],
    [`${architecture}.block_count`, u32(2)],
    [`${architecture}.attention.head_count`, u32(4)],
    [`${architecture}.attention.head_count_kv`, u32(2)],
    [`${architecture}.attention.layer_norm_rms_epsilon`, f32(1e-5)],
    [`${architecture}.rope.dimension_count`, u32(16)],
    [`${architecture}.rope.freq_base`, f32(10000)],
    [`${architecture}.attention.sliding_window`, u32(100)],
    ['tokenizer.ggml.bos_token_id', u32(1)],
    ['tokenizer.ggml.eos_token_id', u32(2)],
    ['tokenizer.ggml.eot_token_id', u32(7)],
    ['tokenizer.ggml.padding_token_id', u32(2)],
  ]);
  for (const [key, value] of Object.entries(changes)) {
    const full = key.includes('general.') || key.includes('tokenizer.') ? key : `${architecture}.${key}`;
    if (value === undefined) metadata.delete(full);
    else metadata.set(full, value);
  }
  return metadata;
}

const vector = (name: string, values: number[]): ForgedTensor => ({
  name,
  shape: [values.length],
  type: ggml.F32,
  bytes: new Uint8Array(Float32Array.from(values).buffer),
});
const embedding: ForgedTensor = { name: 'token_embd.weight', shape: [40, 64], type: ggml.Q8_0, sizeInBytes: 40 * 68 };
const output: ForgedTensor = { ...embedding, name: 'output.weight' };
const shortFactors = [1, 1.125, 1.25, 1.5, 2, 2.5, 3, 4];
const longFactors = [1, 2, 4, 8, 16, 32, 33, 34];
const factors = [vector('rope_factors_long.weight', longFactors), vector('rope_factors_short.weight', shortFactors)];

const configOf = async (metadata: Metadata, tensors: ForgedTensor[] = [embedding, output]) =>
  configFromGguf(await openGguf(createCountingSource(forgeGguf({ metadata: [...metadata], tensors }))));

const published = {
  model_type: 'phi3',
  vocab_size: 40,
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 512,
  original_max_position_embeddings: 64,
  rms_norm_eps: Math.fround(1e-5),
  sliding_window: 100,
  bos_token_id: 1,
  eos_token_id: [2, 7],
  pad_token_id: 2,
};
const parse = (json: object) => parsePhi3Config(new TextEncoder().encode(JSON.stringify(json)));

describe('phi3', () => {
  it('is the configuration that the checkpoint has', async () => {
    expect(await configOf(metadataOf('phi3'))).toEqual(parse(published));
  });

  it('with factor lists, read as the tensors they are', async () => {
    const attnFactor = f32(longropeFactor(8, 64));
    const config = await configOf(metadataOf('phi3', { 'rope.scaling.attn_factor': attnFactor }), [
      embedding,
      output,
      ...factors,
    ]);
    const rope_scaling = { type: 'longrope', short_factor: shortFactors, long_factor: longFactors };
    expect(config).toEqual(parse({ ...published, rope_scaling }));
  });

  it('an attention factor of the yarn formula means yarn', async () => {
    const attnFactor = f32(0.1 * Math.log(8) + 1);
    const config = await configOf(metadataOf('phi3', { 'rope.scaling.attn_factor': attnFactor }), [
      embedding,
      ...factors,
    ]);
    expect(config.ropeScaling).toMatchObject({ type: 'yarn', shortMscale: undefined });
    expect(config.warnings).toEqual([]);
  });

  it('any other attention factor is kept, with a warning', async () => {
    const config = await configOf(metadataOf('phi3', { 'rope.scaling.attn_factor': f32(1.5) }), [
      embedding,
      ...factors,
    ]);
    expect(config.ropeScaling).toMatchObject({ type: 'longrope', shortMscale: 1.5, longMscale: 1.5 });
    expect(config.warnings[0]).toMatch(/attention factor 1\.5 of the file is used/);
  });

  it('no attention factor leaves it to the formula, with a warning', async () => {
    const config = await configOf(metadataOf('phi3'), [embedding, ...factors]);
    expect(config.ropeScaling).toMatchObject({ type: 'longrope', shortMscale: undefined });
    expect(config.warnings[0]).toMatch(/no attention factor/);
  });

  it('embeddings are tied where the output matrix is absent', async () => {
    expect((await configOf(metadataOf('phi3'), [embedding])).tieWordEmbeddings).toBe(true);
  });

  it('part of the head rotates', async () => {
    expect((await configOf(metadataOf('phi3', { 'rope.dimension_count': u32(12) }))).partialRotaryFactor).toBe(0.75);
  });

  it('every part of every head size comes back from the factor', async () => {
    for (let headDim = 2; headDim <= 64; headDim += 2) {
      for (let rotaryDim = 2; rotaryDim <= headDim; rotaryDim += 2) {
        const config = await configOf(
          metadataOf('phi3', { 'attention.key_length': u32(headDim), 'rope.dimension_count': u32(rotaryDim) }),
        );
        expect(Math.trunc(config.headDim * config.partialRotaryFactor)).toBe(rotaryDim);
      }
    }
  });
});

describe('the sliding window of old files', () => {
  const rows: [layers: number, context: number, kvHeads: number, window: number | undefined, isWarned: boolean][] = [
    [32, 4096, 2, 2047, true], // mini-4k
    [40, 4096, 2, 2047, true], // medium-4k
    [32, 131072, 32, undefined, true], // mini-128k: 262144, more than the context
    [40, 131072, 2, undefined, true], // medium-128k: 131072, the context
    [32, 131072, 2, undefined, false], // none of them
    [2, 512, 2, undefined, false],
  ];
  it.each(rows)('%i layers, context %i, %i key/value heads: %s', async (layers, context, kvHeads, window, isWarned) => {
    const heads = kvHeads === 32 ? 32 : 4;
    const config = await configOf(
      metadataOf('phi3', {
        block_count: u32(layers),
        context_length: u32(context),
        'attention.head_count': u32(heads),
        'attention.head_count_kv': u32(kvHeads),
        'rope.dimension_count': undefined,
        'attention.sliding_window': undefined,
      }),
    );
    expect(config.slidingWindow).toBe(window);
    expect(config.warnings.some((sentence) => /no sliding window/.test(sentence))).toBe(isWarned);
  });

  it('0 is off, as Phi-4 has it', async () => {
    const config = await configOf(
      metadataOf('phi3', { block_count: u32(32), context_length: u32(4096), 'attention.sliding_window': u32(0) }),
    );
    expect(config.slidingWindow).toBeUndefined();
    expect(config.warnings).toEqual([]);
  });
});

describe('phimoe', () => {
  const experts = { expert_count: u32(4), expert_used_count: u32(2) };

  it('takes biases from the tensors that are there', async () => {
    const bias = vector('blk.0.attn_q.bias', new Array(64).fill(0));
    const config = await configOf(metadataOf('phimoe', experts), [embedding, output, bias]);
    expect(config).toMatchObject({
      modelType: 'phimoe',
      numLocalExperts: 4,
      numExpertsPerTok: 2,
      routerJitterNoise: 0.01,
      attentionBias: true,
      lmHeadBias: false,
    });
    expect(config.warnings).toEqual(['GGUF files do not keep router_jitter_noise; the published 0.01 is used.']);
  });

  it('restores the mscale of Phi-3.5-MoE, which converters lose', async () => {
    const metadata = metadataOf('phimoe', {
      expert_count: u32(16),
      expert_used_count: u32(2),
      embedding_length: u32(4096),
      context_length: u32(131072),
      'rope.scaling.original_context_length': u32(4096),
      'attention.head_count': u32(32),
      'attention.head_count_kv': u32(8),
      'rope.dimension_count': u32(128),
      'rope.scaling.attn_factor': f32(longropeFactor(32, 4096)),
    });
    const list = Array.from({ length: 64 }, (_, i) => 1 + i);
    const config = await configOf(metadata, [
      { name: 'token_embd.weight', shape: [40, 4096], type: ggml.Q8_0, sizeInBytes: 40 * 4352 },
      vector('rope_factors_long.weight', list),
      vector('rope_factors_short.weight', list),
    ]);
    expect(config.ropeScaling).toMatchObject({ shortMscale: 1.243163121016122, longMscale: 1.243163121016122 });
    expect(config.warnings.some((sentence) => /lose the mscale of Phi-3\.5-MoE/.test(sentence))).toBe(true);
  });
});

describe('errors name the key of the GGUF file', () => {
  const rows: [title: string, changes: Record<string, ForgedValue | undefined>, code: string, key: string][] = [
    [
      'another architecture',
      { 'general.architecture': { type: 'string', value: 'llama' } },
      'CF_MODEL_TYPE',
      'general.architecture',
    ],
    ['no heads', { 'attention.head_count': u32(0) }, 'CF_FIELD', 'phi3.attention.head_count'],
    ['layers missing', { block_count: undefined }, 'GG_KEY_MISSING', 'phi3.block_count'],
    ['layers as text', { block_count: { type: 'string', value: '2' } }, 'GG_KEY_TYPE', 'phi3.block_count'],
    ['layers as float', { block_count: f32(2) }, 'GG_KEY_TYPE', 'phi3.block_count'],
    ['4,000 layers', { block_count: u32(4000) }, 'CF_FIELD', 'phi3.block_count'],
    ['heads that do not divide', { 'attention.head_count_kv': u32(3) }, 'CF_HEADS', 'phi3.attention.head_count_kv'],
    [
      'epsilon NaN',
      { 'attention.layer_norm_rms_epsilon': f32(Number.NaN) },
      'CF_FIELD',
      'phi3.attention.layer_norm_rms_epsilon',
    ],
    ['odd rotating part', { 'rope.dimension_count': u32(15) }, 'CF_HEADS', 'phi3.rope.dimension_count'],
    ['more rotates than there is', { 'rope.dimension_count': u32(32) }, 'CF_HEADS', 'phi3.rope.dimension_count'],
    ['another width of the embedding', { embedding_length: u32(128) }, 'CF_FIELD', 'phi3.embedding_length'],
    ['a context of 2^32 - 1', { context_length: u32(2 ** 32 - 1) }, 'CF_FIELD', 'phi3.context_length'],
    [
      'an end outside the vocabulary',
      { 'tokenizer.ggml.eos_token_id': u32(40) },
      'CF_TOKEN_ID',
      'tokenizer.ggml.eos_token_id[0]',
    ],
    [
      'scaling without lists',
      { 'rope.scaling.type': { type: 'string', value: 'longrope' } },
      'CF_ROPE_SCALING',
      'rope_factors_short.weight',
    ],
    [
      'another scaling',
      { 'rope.scaling.type': { type: 'string', value: 'yarn' } },
      'CF_ROPE_SCALING',
      'phi3.rope.scaling.type',
    ],
  ];
  it.each(rows)('%s', async (_, changes, code, key) => {
    await expect(configOf(metadataOf('phi3', changes))).rejects.toMatchObject({ code, where: { key } });
  });

  it('a file without weights', async () => {
    await expect(configOf(metadataOf('phi3'), [])).rejects.toMatchObject({
      code: 'TENSOR_NOT_FOUND',
      got: 'token_embd.weight',
    });
  });

  it('more tokens than rows', async () => {
    const tokens: ForgedValue = { type: 'array', of: 'string', values: new Array(41).fill('t') };
    await expect(configOf(metadataOf('phi3', { 'tokenizer.ggml.tokens': tokens }))).rejects.toMatchObject({
      code: 'CF_VOCABULARY',
    });
  });

  it('factor lists that are incomplete, of another length, or no vectors', async () => {
    const [long, short] = factors as [ForgedTensor, ForgedTensor];
    const matrix = { ...short, shape: [2, 4] };
    await expect(configOf(metadataOf('phi3'), [embedding, long])).rejects.toMatchObject({ code: 'TENSOR_NOT_FOUND' });
    for (const other of [
      vector(String(short.name), [1, 2, 3]),
      vector(String(short.name), [...shortFactors.slice(1), 0]),
      matrix,
    ]) {
      await expect(configOf(metadataOf('phi3'), [embedding, long, other])).rejects.toMatchObject({
        code: 'CF_ROPE_SCALING',
      });
    }
  });
});
