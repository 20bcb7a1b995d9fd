import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeFloats, float32ToFloat16, type WeightFormat } from '@phiblocks/tensor';
import {
  createSeededRandom,
  describeWithShared,
  type ForgedTensor,
  type ForgedValue,
  forgeGguf,
  ggml,
  sharedPath,
} from '@phiblocks/testing';
import {
  createByteSource,
  decodeTensor,
  encodeSafetensors,
  ggufTensorName,
  type ModelConfig,
} from '@phiblocks/weights';
import { describe, expect, it } from 'vitest';
import {
  type Checkpoint,
  collect,
  createLanguageModel,
  openCheckpointFiles,
  openGgufCheckpoint,
} from '../src/index.ts';
import { loadModel, openCheckpoint, openTokenizer } from '../src/node.ts';
import { openTinyCheckpoint, tinyConfig, tinyLongRope } from './tiny-checkpoint.ts';

/** What llama.cpp's converter writes for a configuration. */
function metadataOf(config: ModelConfig): [string, ForgedValue][] {
  const integer = (value: number): ForgedValue => ({ type: 'uint32', value });
  const real = (value: number): ForgedValue => ({ type: 'float32', value });
  const metadata: [string, ForgedValue][] = [
    ['general.architecture', { type: 'string', value: 'phi3' }],
    ['phi3.embedding_length', integer(config.hiddenSize)],
    ['phi3.feed_forward_length', integer(config.intermediateSize)],
    ['phi3.block_count', integer(config.numHiddenLayers)],
    ['phi3.attention.head_count', integer(config.numAttentionHeads)],
    ['phi3.attention.head_count_kv', integer(config.numKeyValueHeads)],
    ['phi3.attention.layer_norm_rms_epsilon', real(1e-5)],
    ['phi3.attention.sliding_window', integer(config.slidingWindow ?? config.maxPositionEmbeddings)],
    ['phi3.context_length', integer(config.maxPositionEmbeddings)],
    ['phi3.rope.dimension_count', integer(config.headDim * config.partialRotaryFactor)],
    ['phi3.rope.freq_base', real(config.ropeTheta)],
    ['phi3.rope.scaling.original_context_length', integer(config.originalMaxPositionEmbeddings)],
  ];
  if (config.ropeScaling) {
    const ratio = config.maxPositionEmbeddings / config.originalMaxPositionEmbeddings;
    const factor = Math.sqrt(1 + Math.log(ratio) / Math.log(config.originalMaxPositionEmbeddings));
    metadata.push(['phi3.rope.scaling.attn_factor', real(factor)]);
  }
  return metadata;
}

/** The tokens of the tiny model: bytes and rows without a token. */
function byteVocabulary(size: number): [string, ForgedValue][] {
  const tokens = Array.from({ length: size }, (_, id) => {
    if (id < 3) return ['<unk>', '<s>', '</s>'][id]!;
    if (id < 259) return `<0x${(id - 3).toString(16).toUpperCase().padStart(2, '0')}>`;
    return `[PAD${id}]`;
  });
  const types = tokens.map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 5));
  return vocabularyOf(
    tokens,
    tokens.map(() => 0),
    types,
  );
}

function vocabularyOf(tokens: string[], scores: number[], types: number[]): [string, ForgedValue][] {
  return [
    ['tokenizer.ggml.model', { type: 'string', value: 'llama' }],
    ['tokenizer.ggml.tokens', { type: 'array', of: 'string', values: tokens }],
    ['tokenizer.ggml.scores', { type: 'array', of: 'float32', values: scores }],
    ['tokenizer.ggml.token_type', { type: 'array', of: 'int32', values: types }],
    ['tokenizer.ggml.bos_token_id', { type: 'uint32', value: 1 }],
    ['tokenizer.ggml.eos_token_id', { type: 'uint32', value: 2 }],
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: true }],
  ];
}

/** The float tensors of a checkpoint under their GGUF names, and the factor lists. */
async function tensorsOf({ weights, config }: Checkpoint): Promise<ForgedTensor[]> {
  const tensors: ForgedTensor[] = [];
  for (const { name, shape } of weights.tensors.values()) {
    tensors.push({ name: ggufTensorName(name)!, shape, type: ggml.F32, bytes: await weights.readBytes(name) });
  }
  const lists = {
    rope_factors_long: config.ropeScaling?.longFactor,
    rope_factors_short: config.ropeScaling?.shortFactor,
  };
  for (const [name, factors] of Object.entries(lists)) {
    if (!factors) continue;
    const bytes = encodeFloats(Float32Array.from(factors), 'F32');
    tensors.push({ name: `${name}.weight`, shape: [factors.length], type: ggml.F32, bytes });
  }
  return tensors;
}

const openForged = (bytes: Uint8Array) => openGgufCheckpoint(createByteSource(bytes, 'tiny.gguf'));

describe('a GGUF file with the weights of a safetensors checkpoint', () => {
  const ids = Array.from({ length: 24 }, (_, i) => 3 + ((i * 37) % 250));

  it.each([
    ['plain', {}],
    ['tied, with a window', { tie_word_embeddings: true, sliding_window: 7 }],
  ])('gives the same logits to the bit: %s', async (_, overrides) => {
    const checkpoint = await openTinyCheckpoint(overrides);
    const bytes = forgeGguf({
      metadata: [...metadataOf(checkpoint.config), ...byteVocabulary(tinyConfig.vocab_size)],
      tensors: await tensorsOf(checkpoint),
    });
    const [stored, forged] = [
      await createLanguageModel(checkpoint),
      await createLanguageModel(await openForged(bytes)),
    ];
    const expected = await stored.createSession().advance(ids, { logits: 'all' });
    expect(await forged.createSession().advance(ids, { logits: 'all' })).toEqual(expected);
  });

  it('gives the same logits when it is split into parts', async () => {
    const checkpoint = await openTinyCheckpoint({});
    const tensors = await tensorsOf(checkpoint);
    const half = tensors.length >> 1;
    const folder = await mkdtemp(join(tmpdir(), 'phiblocks-split-'));
    try {
      for (const [number, part] of [tensors.slice(0, half), tensors.slice(half)].entries()) {
        const split: [string, ForgedValue][] = [
          ['split.no', { type: 'uint16', value: number }],
          ['split.count', { type: 'uint16', value: 2 }],
          ['split.tensors.count', { type: 'int32', value: tensors.length }],
        ];
        const described = [...metadataOf(checkpoint.config), ...byteVocabulary(tinyConfig.vocab_size)];
        const metadata = number === 0 ? [...described, ...split] : split;
        await writeFile(join(folder, `tiny-0000${number + 1}-of-00002.gguf`), forgeGguf({ metadata, tensors: part }));
      }
      // Any part stands for all of them.
      const path = join(folder, 'tiny-00002-of-00002.gguf');
      const model = await loadModel(path, { backend: 'reference' });
      const stored = await createLanguageModel(checkpoint);
      const expected = await stored.createSession().advance(ids, { logits: 'all' });
      expect(await model.createSession().advance(ids, { logits: 'all' })).toEqual(expected);
      await model.dispose();
      expect((await openTokenizer(path)).vocabSize).toBe(tinyConfig.vocab_size);
      await rm(join(folder, 'tiny-00001-of-00002.gguf'));
      await expect(openCheckpoint(path)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('LongRoPE: across the boundary within a rounding, because GGUF keeps factors as float32', async () => {
    const checkpoint = await openTinyCheckpoint(tinyLongRope);
    const bytes = forgeGguf({
      metadata: [...metadataOf(checkpoint.config), ...byteVocabulary(tinyConfig.vocab_size)],
      tensors: await tensorsOf(checkpoint),
    });
    const forged = await openForged(bytes);
    expect(forged.config.ropeScaling).toMatchObject({ type: 'longrope', originalMaxPositionEmbeddings: 16 });
    const generated = await collect(
      (await createLanguageModel(forged)).generate({ promptIds: ids.slice(0, 10), maxNewTokens: 14 }),
    );
    const expected = await collect(
      (await createLanguageModel(checkpoint)).generate({ promptIds: ids.slice(0, 10), maxNewTokens: 14 }),
    );
    expect(generated.ids).toEqual(expected.ids);
  });
});

describe('every block format', () => {
  /** Where the float16 scales lie in a block, so that random bytes make small numbers. */
  const formats: [WeightFormat, { blockBytes: number; weights: number; scales: number[] }][] = [
    ['Q8_0', { blockBytes: 34, weights: 32, scales: [0] }],
    ['Q4_0', { blockBytes: 18, weights: 32, scales: [0] }],
    ['Q4_1', { blockBytes: 20, weights: 32, scales: [0, 2] }],
    ['Q5_0', { blockBytes: 22, weights: 32, scales: [0] }],
    ['Q5_1', { blockBytes: 24, weights: 32, scales: [0, 2] }],
    ['Q4_K', { blockBytes: 144, weights: 256, scales: [0, 2] }],
    ['Q5_K', { blockBytes: 176, weights: 256, scales: [0, 2] }],
    ['Q6_K', { blockBytes: 210, weights: 256, scales: [208] }],
  ];
  const sizes = {
    // GGUF keeps the epsilon as float32; the small numbers of this model would show the difference.
    rms_norm_eps: Math.fround(1e-5),
    hidden_size: 256,
    intermediate_size: 256,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    num_hidden_layers: 1,
  };

  it.each(formats)('%s runs, and equals float32 weights of the same values to the bit', async (format, layout) => {
    const random = createSeededRandom(9);
    const blocks = (count: number): Uint8Array => {
      const bytes = Uint8Array.from({ length: count * layout.blockBytes }, () => random.integer(256));
      for (let block = 0; block < count; block++) {
        for (const at of layout.scales) {
          const scale = float32ToFloat16((0.5 + random.uniform()) * (format.endsWith('_K') ? 2e-4 : 2e-3));
          bytes[block * layout.blockBytes + at] = scale & 255;
          bytes[block * layout.blockBytes + at + 1] = scale >> 8;
        }
      }
      return bytes;
    };
    const template = await openTinyCheckpoint(sizes);
    const quantized: ForgedTensor[] = [];
    const plain: Parameters<typeof encodeSafetensors>[0][number][] = [];
    for (const { name, shape } of template.weights.tensors.values()) {
      if (shape.length === 1) {
        const bytes = await template.weights.readBytes(name);
        quantized.push({ name: ggufTensorName(name)!, shape, type: ggml.F32, bytes });
        plain.push({ name, dtype: 'F32', shape, bytes });
      } else {
        const bytes = blocks((shape[0]! * shape[1]!) / layout.weights);
        quantized.push({ name: ggufTensorName(name)!, shape, type: ggml[format as keyof typeof ggml], bytes });
        const { data } = decodeTensor(format, shape, bytes);
        plain.push({ name, dtype: 'F32', shape, bytes: encodeFloats(data, 'F32') });
      }
    }
    const forged = forgeGguf({
      metadata: [...metadataOf(template.config), ...byteVocabulary(tinyConfig.vocab_size)],
      tensors: quantized,
    });
    const files: Record<string, Uint8Array> = {
      'config.json': new TextEncoder().encode(JSON.stringify({ ...tinyConfig, ...sizes })),
      'model.safetensors': encodeSafetensors(plain),
    };
    const floats = await openCheckpointFiles({
      name: 'floats',
      open: async (name) => files[name] && createByteSource(files[name], name),
    });
    const ids = [5, 77, 140, 9];
    const expected = await (await createLanguageModel(floats)).createSession().advance(ids, { logits: 'all' });
    expect(expected.data.every(Number.isFinite)).toBe(true);
    const session = (await createLanguageModel(await openForged(forged))).createSession();
    expect(await session.advance(ids, { logits: 'all' })).toEqual(expected);
  });
});

describeWithShared('the trained model as GGUF', 'models/stories260k-phi3', () => {
  it('writes the published text, tokenizer and all', async () => {
    const folder = sharedPath('models/stories260k-phi3');
    const checkpoint = await openCheckpoint(folder);
    const tokenizer = JSON.parse(await readFile(join(folder, 'tokenizer.json'), 'utf8'));
    const tokens = Object.entries(tokenizer.model.vocab as Record<string, number>)
      .sort(([, a], [, b]) => a - b)
      .map(([token]) => token);
    const ranks = new Map<string, number>();
    for (const [rank, merge] of (tokenizer.model.merges as (string | string[])[]).entries()) {
      const merged = Array.isArray(merge) ? merge.join('') : merge.replace(' ', '');
      if (!ranks.has(merged)) ranks.set(merged, rank);
    }
    const scores = tokens.map((token) => -(ranks.get(token) ?? 1e6));
    const types = tokens.map((token, id) => (id === 0 ? 2 : id < 3 ? 3 : /^<0x..>$/.test(token) ? 6 : 1));
    const bytes = forgeGguf({
      metadata: [...metadataOf(checkpoint.config), ...vocabularyOf(tokens, scores, types)],
      tensors: await tensorsOf(checkpoint),
    });
    const temporary = await mkdtemp(join(tmpdir(), 'phiblocks-'));
    try {
      const path = join(temporary, 'stories.gguf');
      await writeFile(path, bytes);
      const published = JSON.parse(await readFile(join(folder, 'case.json'), 'utf8')).published_greedy_text_from_bos;
      const model = await loadModel(path);
      expect((await collect(model.generate({ prompt: '', maxNewTokens: 200 }))).text).toBe(published);
      await model.dispose();
      const text = 'Once upon a time, there was a cat.\nIt sat.';
      const ids = (await openTokenizer(path)).encode(text);
      expect([...ids]).toEqual([...(await openTokenizer(folder)).encode(text)]);
    } finally {
      await rm(temporary, { recursive: true });
    }
  });
});
