import { Phi3Error } from '@phiblocks/tensor';
import type { GgufErrorCode } from './error-codes.ts';
import type { GgufMetadata } from './gguf-metadata.ts';

/** The vocabulary of a GGUF file as it stands there; a tokenizer is made of it elsewhere. Lists run in order of token id. */
export interface GgufVocabulary {
  /** `llama` for SentencePiece BPE (Phi-3), `gpt2` for byte-level BPE (Phi-4-mini), … */
  readonly model: string;
  /** Name of the pre-tokenizer, where the file has one: `default`, `gpt-4o`, … */
  readonly preTokenizer: string | undefined;
  readonly tokens: readonly string[];
  /** Log probabilities or negative ranks of the pieces; SentencePiece models have them. */
  readonly scores: Float32Array | undefined;
  /** 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. */
  readonly tokenTypes: Int32Array | undefined;
  /** Merge rules as two pieces with a space between; byte-level models have them. */
  readonly merges: readonly string[] | undefined;
  readonly bosTokenId: number | undefined;
  readonly eosTokenId: number | undefined;
  /** End of a turn, where it is another than the end of the text. */
  readonly eotTokenId: number | undefined;
  readonly unknownTokenId: number | undefined;
  readonly paddingTokenId: number | undefined;
  readonly addBosToken: boolean | undefined;
  readonly addEosToken: boolean | undefined;
  /** Whether a space goes before the text. */
  readonly addSpacePrefix: boolean | undefined;
}

/**
 * The vocabulary of a GGUF file: types, lengths and ids checked, the text of the tokens as it is.
 *
 * The chat template is not part of it: see {@link untrustedChatTemplate}.
 *
 * @param gguf - an open file; only its metadata is used
 * @throws Phi3Error `GG_KEY_MISSING` without a vocabulary, `GG_KEY_TYPE` for a list of the wrong type, `GG_VOCABULARY` for
 * lists of different length, an unknown token type or an id outside the vocabulary
 * @example
 * const header = [0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0, ...new Array(16).fill(0)];
 * const gguf = await openGguf(createByteSource(new Uint8Array(header), 'empty.gguf'));
 * try {
 *   ggufVocabulary(gguf);
 * } catch (error) {
 *   error.code; // => 'GG_KEY_MISSING'
 * }
 */
export function ggufVocabulary(gguf: { readonly metadata: GgufMetadata }): GgufVocabulary {
  const { metadata } = gguf;
  const model = metadata.getString('tokenizer.ggml.model');
  const tokens = metadata.getStringArray('tokenizer.ggml.tokens');
  if (tokens.length === 0) throw vocabularyError('tokenizer.ggml.tokens', 'at least one token', 0);
  const scores = metadata.findFloat32Array('tokenizer.ggml.scores');
  expectLength('tokenizer.ggml.scores', scores, tokens.length);
  const types = metadata.findIntegerArray('tokenizer.ggml.token_type');
  expectLength('tokenizer.ggml.token_type', types, tokens.length);

  const idAt = (name: string): number | undefined => {
    const key = `tokenizer.ggml.${name}_token_id`;
    const id = metadata.findInteger(key);
    if (id !== undefined && (id < 0 || id >= tokens.length)) {
      throw vocabularyError(key, `an id from 0 to ${tokens.length - 1}`, id);
    }
    return id;
  };
  return {
    model,
    preTokenizer: metadata.findString('tokenizer.ggml.pre'),
    tokens,
    scores,
    tokenTypes: types === undefined ? undefined : tokenTypesOf(types),
    merges: metadata.findStringArray('tokenizer.ggml.merges'),
    bosTokenId: idAt('bos'),
    eosTokenId: idAt('eos'),
    eotTokenId: idAt('eot'),
    unknownTokenId: idAt('unknown'),
    paddingTokenId: idAt('padding'),
    addBosToken: metadata.findBoolean('tokenizer.ggml.add_bos_token'),
    addEosToken: metadata.findBoolean('tokenizer.ggml.add_eos_token'),
    addSpacePrefix: metadata.findBoolean('tokenizer.ggml.add_space_prefix'),
  };
}

/**
 * The chat template that a GGUF file brings along, as text. It is code in Jinja's language by whoever made the file: give
 * it only to a template engine with limits, and only when you trust the file. Published members need none.
 *
 * @param gguf - an open file; only its metadata is used
 * @param name - for a file with several templates, such as `tool_use`; the default one otherwise
 * @returns the text, or `undefined` where the file has none of that name
 * @throws Phi3Error `GG_KEY_TYPE` when it is not a text
 * @example
 * const header = [0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0, ...new Array(16).fill(0)];
 * const gguf = await openGguf(createByteSource(new Uint8Array(header), 'empty.gguf'));
 * untrustedChatTemplate(gguf); // => undefined
 */
export function untrustedChatTemplate(gguf: { readonly metadata: GgufMetadata }, name?: string): string | undefined {
  return gguf.metadata.findString(name === undefined ? 'tokenizer.chat_template' : `tokenizer.chat_template.${name}`);
}

function expectLength(key: string, list: ArrayLike<unknown> | undefined, length: number): void {
  if (list !== undefined && list.length !== length) {
    throw vocabularyError(key, `${length} entries, one for each token`, list.length);
  }
}

function tokenTypesOf(types: ArrayLike<number>): Int32Array {
  for (let id = 0; id < types.length; id++) {
    if (types[id]! < 1 || types[id]! > 6) {
      throw vocabularyError(`tokenizer.ggml.token_type[${id}]`, 'a token type from 1 to 6', types[id]);
    }
  }
  return Int32Array.from(types);
}

function vocabularyError(key: string, expected: string, got: unknown): Phi3Error<GgufErrorCode> {
  return new Phi3Error({ code: 'GG_VOCABULARY', function: 'ggufVocabulary', expected, got, where: { key } });
}
