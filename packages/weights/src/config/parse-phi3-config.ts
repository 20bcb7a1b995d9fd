import { expectKnownOptions } from '@phiblocks/tensor';
import { parseConfigFields } from './config-fields.ts';
import type { ModelConfig } from './model-config.ts';
import { readModelConfig } from './read-model-config.ts';

/** How to name the file in messages. */
export interface ParseConfigOptions {
  /** Default: `config.json`, or `generation_config.json`. */
  file?: string | undefined;
}

/**
 * Reads and checks a `config.json` of any member of the family: `phi3`, `phi3small`, `phimoe` or `phi3_v`.
 *
 * Required are `model_type`, `vocab_size`, `hidden_size`, `num_hidden_layers`, `num_attention_heads`,
 * `max_position_embeddings`, the feed-forward width, `num_local_experts` for `phimoe`, and `img_processor` and `embd_layer`
 * for `phi3_v`. Other fields have the defaults of the published code: as many key/value heads as heads, theta 10,000
 * (1,000,000 for `phi3small`), epsilons 1e-5, tied embeddings only for `phi3small`. Null counts as absent.
 *
 * A window no smaller than the context is off. Rope type `su` is read as `longrope`. Fields that nobody reads are named in
 * `warnings`, and so is code that the file points to (`auto_map`), which is never run.
 *
 * @param bytes - the file
 * @returns frozen; `modelType` says which of the four it is
 * @throws Phi3Error `CF_…` with the key (see `configErrorCodes`)
 * @example
 * const json = JSON.stringify({
 *   model_type: 'phi3', vocab_size: 32064, hidden_size: 3072, intermediate_size: 8192, num_hidden_layers: 32,
 *   num_attention_heads: 32, max_position_embeddings: 4096, sliding_window: 2047,
 * });
 * const config = parsePhi3Config(new TextEncoder().encode(json));
 * config.headDim; // => 96
 * config.slidingWindow; // => 2047
 */
export function parsePhi3Config(bytes: Uint8Array, options: ParseConfigOptions = {}): ModelConfig {
  expectKnownOptions('parsePhi3Config', options, ['file']);
  return readModelConfig(parseConfigFields('parsePhi3Config', options.file ?? 'config.json', bytes));
}
