import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeFloats } from '@phiblocks/tensor';
import { createSeededRandom } from '@phiblocks/testing';
import { encodeSafetensors, parsePhi3Config, type TensorInMemory } from '@phiblocks/weights';
import { tensorsOf } from '../src/definition/plan.ts';

// Checkpoints small enough for a test, in the published layouts, with seeded random weights. Their numbers mean nothing.

const common = {
  hidden_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 300,
  bos_token_id: 1,
  eos_token_id: 2,
  torch_dtype: 'float32',
};

const longRope = {
  max_position_embeddings: 128,
  original_max_position_embeddings: 16,
  rope_scaling: { type: 'longrope', short_factor: [1.1, 1.3, 1.5, 2], long_factor: [1.2, 3, 9, 20] },
};

/** `config.json` of one small model per case. */
export const tinyConfigs = {
  /** Where rounding leaves nothing, an epsilon shows only beside small numbers: embeddings are small, as published ones are. */
  phi3: { ...common, model_type: 'phi3', intermediate_size: 48, rms_norm_eps: 1e-5, ...longRope },
  window: {
    ...common,
    model_type: 'phi3',
    intermediate_size: 48,
    max_position_embeddings: 128,
    sliding_window: 9,
    tie_word_embeddings: true,
  },
  phi3small: {
    ...common,
    model_type: 'phi3small',
    max_position_embeddings: 256,
    ff_intermediate_size: 48,
    gegelu_limit: 0.5,
    blocksparse_block_size: 8,
    blocksparse_num_local_blocks: 2,
    blocksparse_vert_stride: 3,
    dense_attention_every_n_layers: 2,
    dummy_token_indices: [298, 299],
  },
  phimoe: {
    ...common,
    model_type: 'phimoe',
    max_position_embeddings: 128,
    intermediate_size: 32,
    num_local_experts: 8,
    num_experts_per_tok: 2,
    // Wide enough that rivals count, so that weights are not all 1.
    router_jitter_noise: 0.2,
    attention_bias: true,
    lm_head_bias: true,
  },
  phi3_v: {
    ...common,
    model_type: 'phi3_v',
    intermediate_size: 48,
    max_position_embeddings: 2048,
    embd_layer: {
      embedding_cls: 'image',
      hd_transform_order: 'sub_glb',
      projection_cls: 'mlp',
      use_hd_transform: true,
      with_learnable_separator: true,
    },
    img_processor: {
      name: 'clip_vision_model',
      image_dim_out: 8,
      num_img_tokens: 144,
      clip_config: {
        hidden_size: 8,
        intermediate_size: 16,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        image_size: 336,
        patch_size: 14,
      },
    },
  },
} as const;

export type TinyName = keyof typeof tinyConfigs;

/** Damage on the way to the disk. */
export interface Damage {
  readonly config?: (config: Record<string, unknown>) => Record<string, unknown>;
  readonly tensor?: (tensor: TensorInMemory) => TensorInMemory | undefined;
  readonly file?: (bytes: Uint8Array) => Uint8Array;
  /** Other files, by name; they replace those of {@link tokenizerFiles}. */
  readonly files?: Readonly<Record<string, string>>;
}

/** Writes a checkpoint into a folder. */
export async function writeTiny(folder: string, name: TinyName, damage: Damage = {}): Promise<string> {
  const whole: Record<string, unknown> = tinyConfigs[name];
  const random = createSeededRandom(11);
  const tensors: TensorInMemory[] = [];
  for (const [key, shape] of tensorsOf(parsePhi3Config(new TextEncoder().encode(JSON.stringify(whole))))) {
    const size = shape.reduce((product, dimension) => product * dimension, 1);
    const isNorm = /norm\d?\.weight$/.test(key);
    const isEmbedding = key === 'model.embed_tokens.weight';
    const scale = isEmbedding ? 0.02 : shape.length > 1 ? 1.5 / Math.sqrt(size / shape[0]!) : 0.1;
    const values = random.normals(size, scale).map((value) => (isNorm ? 1 + value : value));
    const tensor: TensorInMemory = { name: key, dtype: 'F32', shape: [...shape], bytes: encodeFloats(values, 'F32') };
    const kept = damage.tensor ? damage.tensor(tensor) : tensor;
    if (kept) tensors.push(kept);
  }
  await mkdir(folder, { recursive: true });
  const bytes = encodeSafetensors(tensors);
  await writeFile(join(folder, 'model.safetensors'), damage.file ? damage.file(bytes) : bytes);
  await writeFile(join(folder, 'config.json'), JSON.stringify(damage.config ? damage.config(whole) : whole));
  if (name === 'phi3_v') await writeFile(join(folder, 'preprocessor_config.json'), JSON.stringify({ num_crops: 4 }));
  for (const [file, text] of Object.entries(damage.files ?? {})) await writeFile(join(folder, file), text);
  return folder;
}

interface TokenFlags {
  readonly content: string;
  readonly rstrip: boolean;
  readonly special: boolean;
}

const template =
  "{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}" +
  "{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}" +
  "{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}";

/** Tokenizer files with the ids and flags of Phi-3-mini, and pieces that stand for nothing in between. */
export function tokenizerFiles(
  change: { flags?: (token: TokenFlags) => TokenFlags; inConfigAlone?: boolean; template?: string } = {},
): Record<string, string> {
  const vocab: [string, number][] = [
    ['<unk>', 0],
    ['<s>', 1],
    ['</s>', 2],
  ];
  const add = (piece: string): void => void vocab.push([piece, vocab.length]);
  for (let byte = 0; byte < 256; byte++) add(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  for (const piece of ['▁', ...'abcdefghijklmnopqrstuvwxyz', 'th', 'the', '▁the']) add(piece);
  while (vocab.length < 32000) add(`▁filler${vocab.length}`);
  const published = new Map<number, TokenFlags>([
    [0, { content: '<unk>', rstrip: false, special: true }],
    [1, { content: '<s>', rstrip: false, special: true }],
    [2, { content: '</s>', rstrip: true, special: false }],
    [32000, { content: '<|endoftext|>', rstrip: false, special: true }],
    [32001, { content: '<|assistant|>', rstrip: true, special: true }],
    [32006, { content: '<|system|>', rstrip: true, special: true }],
    [32007, { content: '<|end|>', rstrip: true, special: true }],
    [32010, { content: '<|user|>', rstrip: true, special: true }],
  ]);
  for (const id of [32002, 32003, 32004, 32005, 32008, 32009]) {
    published.set(id, { content: `<|placeholder${id}|>`, rstrip: true, special: true });
  }
  const flagsOf = (token: TokenFlags, isChanged: boolean) => ({
    lstrip: false,
    normalized: false,
    single_word: false,
    ...(isChanged && change.flags ? change.flags(token) : token),
  });
  const sorted = [...published].sort(([a], [b]) => a - b);
  return {
    'tokenizer.json': JSON.stringify({
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: sorted.map(([id, token]) => ({ id, ...flagsOf(token, !change.inConfigAlone) })),
      normalizer: {
        type: 'Sequence',
        normalizers: [
          { type: 'Prepend', prepend: '▁' },
          { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
        ],
      },
      pre_tokenizer: null,
      post_processor: null,
      decoder: {
        type: 'Sequence',
        decoders: [
          { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
          { type: 'ByteFallback' },
          { type: 'Fuse' },
          { type: 'Strip', content: ' ', start: 1, stop: 0 },
        ],
      },
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: '<unk>',
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: true,
        byte_fallback: true,
        vocab: Object.fromEntries(vocab),
        merges: ['t h', 'th e', '▁ the'],
      },
    }),
    'tokenizer_config.json': JSON.stringify({
      add_bos_token: false,
      add_eos_token: false,
      bos_token: '<s>',
      eos_token: '<|endoftext|>',
      pad_token: '<|endoftext|>',
      unk_token: '<unk>',
      added_tokens_decoder: Object.fromEntries(sorted.map(([id, token]) => [id, flagsOf(token, true)])),
      chat_template: change.template ?? template,
    }),
  };
}

/** The sizes that a vocabulary of Phi-3-mini needs. */
export const withPublishedVocabulary: Damage['config'] = (config) => ({ ...config, vocab_size: 32064 });
