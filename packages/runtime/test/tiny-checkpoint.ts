import { encodeFloats } from '@phiblocks/tensor';
import { createSeededRandom } from '@phiblocks/testing';
import { createByteSource, encodeSafetensors, type TensorInMemory } from '@phiblocks/weights';
import { type Checkpoint, openCheckpointFiles } from '../src/index.ts';

/** `config.json` of a model small enough for a test, in the published layout. */
export const tinyConfig = {
  architectures: ['Phi3ForCausalLM'],
  model_type: 'phi3',
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 300,
  max_position_embeddings: 64,
  original_max_position_embeddings: 64,
  rope_theta: 10000,
  rope_scaling: null as null | { type: string; short_factor: number[]; long_factor: number[] },
  rms_norm_eps: 1e-5,
  tie_word_embeddings: false,
  hidden_act: 'silu',
  sliding_window: null as number | null,
  bos_token_id: 1,
  eos_token_id: 2,
};

/** LongRoPE with its boundary at 16, for the head dimension 8 of {@link tinyConfig}. */
export const tinyLongRope = {
  original_max_position_embeddings: 16,
  rope_scaling: {
    type: 'longrope',
    short_factor: [1.1, 1.3, 1.5, 2],
    long_factor: [1.2, 3, 9, 20],
  },
};

/**
 * A checkpoint with seeded random weights, held in memory. Its numbers mean nothing; only their equality does.
 *
 * @param overrides - changes to {@link tinyConfig}
 */
export async function openTinyCheckpoint(
  overrides: Partial<typeof tinyConfig> = {},
  seed = 1,
  extraFiles: Record<string, Uint8Array> = {},
): Promise<Checkpoint> {
  const files = tinyCheckpointFiles(overrides, seed, extraFiles);
  return openCheckpointFiles({
    name: 'tiny',
    open: async (name) => {
      const bytes = files.get(name);
      return bytes && createByteSource(bytes, name);
    },
  });
}

/** The files of that checkpoint, by name. */
export function tinyCheckpointFiles(
  overrides: Partial<typeof tinyConfig> = {},
  seed = 1,
  extraFiles: Record<string, Uint8Array> = {},
): Map<string, Uint8Array> {
  const config = { ...tinyConfig, ...overrides };
  const {
    hidden_size: C,
    intermediate_size: I,
    vocab_size: V,
    num_attention_heads: H,
    num_key_value_heads: K,
  } = config;
  const D = C / H;
  const random = createSeededRandom(seed);
  const tensors: TensorInMemory[] = [];
  const add = (name: string, shape: number[], values: Float32Array): void => {
    tensors.push({ name, dtype: 'F32', shape, bytes: encodeFloats(values, 'F32') });
  };
  const matrix = (name: string, rows: number, columns: number, scale = 1 / Math.sqrt(columns)): void => {
    add(name, [rows, columns], random.normals(rows * columns, scale));
  };
  const norm = (name: string): void => {
    add(
      name,
      [C],
      random.normals(C, 0.1).map((value) => 1 + value),
    );
  };
  matrix('model.embed_tokens.weight', V, C, 1);
  for (let index = 0; index < config.num_hidden_layers; index++) {
    const layer = `model.layers.${index}`;
    norm(`${layer}.input_layernorm.weight`);
    matrix(`${layer}.self_attn.qkv_proj.weight`, ((H + 2 * K) * C) / H, C, 2 / Math.sqrt(C));
    matrix(`${layer}.self_attn.o_proj.weight`, C, H * D);
    norm(`${layer}.post_attention_layernorm.weight`);
    matrix(`${layer}.mlp.gate_up_proj.weight`, 2 * I, C);
    matrix(`${layer}.mlp.down_proj.weight`, C, I);
  }
  norm('model.norm.weight');
  if (!config.tie_word_embeddings) matrix('lm_head.weight', V, C);

  return new Map<string, Uint8Array>(
    Object.entries({
      'config.json': new TextEncoder().encode(JSON.stringify(config)),
      'model.safetensors': encodeSafetensors(tensors),
      ...extraFiles,
    }),
  );
}

/** A `tokenizer.json` whose vocabulary is the bytes, three special tokens and a few merged letters. */
export function tinyTokenizerJson(): Uint8Array {
  const vocab: Record<string, number> = { '<unk>': 0, '<s>': 1, '</s>': 2 };
  for (let byte = 0; byte < 256; byte++) {
    vocab[`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`] = 3 + byte;
  }
  for (const piece of ['▁', ...'abcdefghijklmnopqrstuvwxyz', 'th', 'the', '▁the', 'an', 'in']) {
    vocab[piece] = Object.keys(vocab).length;
  }
  const special = (id: number, content: string) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  return new TextEncoder().encode(
    JSON.stringify({
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: [special(0, '<unk>'), special(1, '<s>'), special(2, '</s>')],
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
        vocab,
        merges: ['t h', 'th e', '▁ the', 'a n', 'i n'],
      },
    }),
  );
}
