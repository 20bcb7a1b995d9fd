import { expectKnownOptions } from '@phiblocks/tensor';
import { largestSize, parseConfigFields, unreadWarning } from './config-fields.ts';
import type { ParseConfigOptions } from './parse-phi3-config.ts';

/** What `generation_config.json` says. `undefined` where it says nothing. */
export interface GenerationConfig {
  /** Generation stops after any of these. */
  readonly eosTokenIds: readonly number[];
  readonly bosTokenId: number | undefined;
  readonly padTokenId: number | undefined;
  readonly doSample: boolean | undefined;
  readonly temperature: number | undefined;
  readonly topP: number | undefined;
  readonly topK: number | undefined;
  readonly repetitionPenalty: number | undefined;
  readonly maxNewTokens: number | undefined;
  /** What was accepted but a person should know, in sentences. */
  readonly warnings: readonly string[];
}

/** Also what token ids are checked against. */
export interface ParseGenerationConfigOptions extends ParseConfigOptions {
  /** Ids must lie below it. Default: 2^24, which only catches nonsense. */
  vocabSize?: number | undefined;
}

/**
 * Reads and checks a `generation_config.json`. It holds the complete list of tokens that end a reply; the one in
 * `config.json` is usually only the end of the text.
 *
 * @param bytes - the file
 * @returns frozen
 * @throws Phi3Error `CF_…` with the key (see `configErrorCodes`)
 * @example
 * const json = '{"bos_token_id": 1, "eos_token_id": [32000, 32001, 32007], "pad_token_id": 32000}';
 * const config = parseGenerationConfig(new TextEncoder().encode(json), { vocabSize: 32064 });
 * config.eosTokenIds; // => [32000, 32001, 32007]
 * config.temperature; // => undefined
 */
export function parseGenerationConfig(bytes: Uint8Array, options: ParseGenerationConfigOptions = {}): GenerationConfig {
  expectKnownOptions('parseGenerationConfig', options, ['file', 'vocabSize']);
  const { file = 'generation_config.json', vocabSize = largestSize } = options;
  const fields = parseConfigFields('parseGenerationConfig', file, bytes);
  const isThere = (name: string): boolean => fields.value(name) !== undefined;
  const config = {
    eosTokenIds: fields.tokenIds('eos_token_id', vocabSize),
    bosTokenId: fields.tokenId('bos_token_id', vocabSize),
    padTokenId: fields.tokenId('pad_token_id', vocabSize),
    doSample: isThere('do_sample') ? fields.boolean('do_sample', false) : undefined,
    temperature: isThere('temperature') ? fields.number('temperature', 0, 1000) : undefined,
    topP: isThere('top_p') ? fields.number('top_p', 0, 1) : undefined,
    topK: isThere('top_k') ? wholeTopK() : undefined,
    repetitionPenalty: isThere('repetition_penalty') ? fields.positive('repetition_penalty') : undefined,
    maxNewTokens: fields.optionalSize('max_new_tokens'),
  };
  function wholeTopK(): number {
    const topK = fields.number('top_k', 0, largestSize);
    if (!Number.isInteger(topK)) throw fields.fieldError('top_k', 'a whole number; 0 keeps all', topK);
    return topK;
  }
  fields.ignore(['_from_model_config', 'transformers_version', 'use_cache']);
  const unread = fields.unread();
  const warnings = unread.length > 0 ? [unreadWarning(file, unread)] : [];
  return Object.freeze({ ...config, warnings: Object.freeze(warnings) });
}
