import { expectKnownOptions } from '@phiblocks/tensor';
import { checkAddedTokens } from './added-tokens.ts';
import { checkByteIds, createSentencepieceTokenizer } from './create-sentencepiece-tokenizer.ts';
import type { TokenizerErrorCode } from './errors.ts';
import { largestVocabulary } from './file-text.ts';
import { isJsonObject, type JsonObject, own, readJson, reject as rejectJson } from './json-values.ts';
import { type MergeList, PairTable, priorityLimit } from './pair-table.ts';
import { byteOfToken } from './sentencepiece-decoder.ts';
import type { AddedToken, Tokenizer, TokenizerWarning } from './tokenizer.ts';
import { parseDecoder, parseNormalizer, parsePostProcessor, requireNoPreTokenizer } from './tokenizer-components.ts';
import { readTokenizerConfig } from './tokenizer-config.ts';

const functionName = 'parseTokenizerJson';

/** What goes with a `tokenizer.json`. */
export interface TokenizerJsonOptions {
  /**
   * `tokenizer_config.json` of the same checkpoint. Its `add_bos_token` and `add_eos_token` win over the post-processor,
   * as in Python; where its flags of added tokens differ, `tokenizer.json` wins and a warning says so.
   */
  tokenizerConfig?: string | Uint8Array | object;
}

/**
 * Reads a `tokenizer.json` with a SentencePiece-style BPE model: that of Phi-3-mini, medium and vision, of Phi-3.5, and of
 * every Llama-2 style checkpoint with byte fallback.
 *
 * Source: Rust tokenizers `models/bpe`, `added_vocabulary.rs`, `decoders`.
 *
 * @param file - text, UTF-8 bytes, or the parsed JSON
 * @throws Phi3Error `TK_JSON`, `TK_TOO_LARGE`, `TK_MODEL`, `TK_VOCAB`, `TK_MERGE`, `TK_ADDED_TOKEN`, `TK_BYTE_FALLBACK`,
 *   `TK_COMPONENT`, `TK_REGEX`, `TK_DEPTH`, `TK_TRUNCATION`, `TK_CONFIG`, each with the path in the file
 * @example
 * const vocab: Record<string, number> = {};
 * for (let byte = 0; byte < 256; byte++) vocab[`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`] = byte;
 * for (const token of ['▁', 'h', 'i', '▁h', '▁hi']) vocab[token] = Object.keys(vocab).length;
 * const tokenizer = parseTokenizerJson({
 *   model: { type: 'BPE', byte_fallback: true, vocab, merges: ['▁ h', '▁h i'] },
 *   normalizer: { type: 'Sequence', normalizers: [
 *     { type: 'Prepend', prepend: '▁' },
 *     { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
 *   ] },
 *   decoder: { type: 'Sequence', decoders: [
 *     { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
 *     { type: 'ByteFallback' },
 *     { type: 'Fuse' },
 *     { type: 'Strip', content: ' ', start: 1, stop: 0 },
 *   ] },
 * });
 * tokenizer.encode('hi hi\n'); // => [260, 260, 10]
 * tokenizer.decode([260, 260]); // => 'hi hi'
 */
export function parseTokenizerJson(file: string | Uint8Array | object, options: TokenizerJsonOptions = {}): Tokenizer {
  expectKnownOptions(functionName, options, ['tokenizerConfig']);
  const json = readJson(functionName, 'file', file);
  const warnings: TokenizerWarning[] = [];
  const model = parseModel(own(json, 'model'));
  const { addPrefix } = parseNormalizer(own(json, 'normalizer'));
  requireNoPreTokenizer(own(json, 'pre_tokenizer'));
  const { stripFirstSpace } = parseDecoder(own(json, 'decoder'));
  const addedTokens = parseAddedTokens(own(json, 'added_tokens'));
  checkAddedTokens(
    functionName,
    addedTokens,
    (content) => model.idOf.get(content),
    (id) => model.tokens[id],
  );
  const idOfAdded = new Map(addedTokens.map(({ id, content }) => [content, id]));
  const idOf = (token: string): number | undefined => idOfAdded.get(token) ?? model.idOf.get(token);
  let { prefixIds, suffixIds } = parsePostProcessor(own(json, 'post_processor'), idOf);
  warnings.push(...checkTruncationAndPadding(json));

  const config =
    options.tokenizerConfig === undefined
      ? undefined
      : readTokenizerConfig(functionName, options.tokenizerConfig, idOf, addedTokens);
  if (config !== undefined) {
    if (config.addBosToken !== undefined) prefixIds = config.addBosToken ? [config.bosTokenId!] : [];
    if (config.addEosToken !== undefined) suffixIds = config.addEosToken ? [config.eosTokenId!] : [];
    warnings.push(...config.warnings);
  }
  return createSentencepieceTokenizer({
    ...model,
    addedTokens,
    addPrefix,
    stripFirstSpace,
    prefixIds,
    suffixIds,
    bosTokenId: config?.bosTokenId ?? (prefixIds.length === 1 ? prefixIds[0] : undefined),
    eosTokenId: config?.eosTokenId,
    padTokenId: config?.padTokenId,
    unknownTokenId: config?.unknownTokenId ?? model.unknownTokenId,
    warnings,
  });
}

function parseModel(model: unknown) {
  if (!isJsonObject(model)) reject('TK_MODEL', 'model', 'an object', model);
  const type = own(model, 'type');
  if (type !== 'BPE') reject('TK_MODEL', 'model.type', "'BPE'", type);
  // Settings that would change the result are refused rather than ignored.
  const settings: [string, readonly unknown[]][] = [
    ['dropout', [undefined, null, 0]],
    ['continuing_subword_prefix', [undefined, null, '']],
    ['end_of_word_suffix', [undefined, null, '']],
    ['ignore_merges', [undefined, null, false]],
    ['byte_fallback', [true]],
  ];
  for (const [key, allowed] of settings) {
    const value = own(model, key);
    if (!allowed.includes(value))
      reject('TK_MODEL', `model.${key}`, allowed[0] === true ? 'true' : 'the default', value);
  }
  const { tokens, idOf } = parseVocabulary(own(model, 'vocab'));
  const byteIds = new Int32Array(256).fill(-1);
  for (const [id, token] of tokens.entries()) {
    const byte = byteOfToken(token);
    if (byte >= 0) byteIds[byte] = id;
  }
  checkByteIds(functionName, byteIds);
  const unknown = own(model, 'unk_token');
  if (unknown !== undefined && unknown !== null && (typeof unknown !== 'string' || !idOf.has(unknown)))
    reject('TK_MODEL', 'model.unk_token', 'a token of the vocabulary', unknown);
  return {
    tokens,
    idOf,
    byteIds,
    merges: new PairTable(functionName, parseMerges(own(model, 'merges'), idOf)),
    unknownTokenId: typeof unknown === 'string' ? idOf.get(unknown) : undefined,
  };
}

function parseVocabulary(vocab: unknown): { tokens: string[]; idOf: Map<string, number> } {
  if (!isJsonObject(vocab)) reject('TK_MODEL', 'model.vocab', 'an object', vocab);
  const idOf = new Map<string, number>(Object.entries(vocab) as [string, number][]);
  if (idOf.size > largestVocabulary)
    reject('TK_TOO_LARGE', 'model.vocab', `at most ${largestVocabulary} tokens`, idOf.size);
  const tokens: string[] = new Array(idOf.size).fill(undefined);
  for (const [token, id] of idOf) {
    // As many different ids as tokens, all below their number, are exactly 0, 1, 2, …
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= tokens.length)
      reject('TK_VOCAB', `model.vocab["${token}"]`, `a whole number below ${tokens.length}`, id);
    if (tokens[id] !== undefined) reject('TK_VOCAB', `model.vocab["${token}"]`, 'an id of its own', id);
    if (token === '') reject('TK_VOCAB', 'model.vocab', 'tokens with text', token);
    tokens[id] = token;
  }
  return { tokens, idOf };
}

function parseMerges(merges: unknown, idOf: ReadonlyMap<string, number>): MergeList {
  if (!Array.isArray(merges)) reject('TK_MODEL', 'model.merges', 'an array', merges);
  if (merges.length >= priorityLimit)
    reject('TK_TOO_LARGE', 'model.merges', `fewer than ${priorityLimit} merges`, merges.length);
  const pairs = new Int32Array(merges.length * 4);
  for (let index = 0; index < merges.length; index++) {
    const merge: unknown = merges[index];
    const key = `model.merges[${index}]`;
    // Older files write "a b", newer ones ["a", "b"].
    const parts: unknown[] = typeof merge === 'string' ? merge.split(' ', 3) : Array.isArray(merge) ? merge : [];
    const [left, right] = parts;
    if (parts.length !== 2 || typeof left !== 'string' || typeof right !== 'string' || left === '' || right === '')
      reject('TK_MERGE', key, 'two tokens, as "a b" or ["a", "b"]', merge);
    const leftId = idOf.get(left);
    const rightId = idOf.get(right);
    const result = idOf.get(left + right);
    if (leftId === undefined || rightId === undefined || result === undefined)
      reject('TK_MERGE', key, 'parts and a result in the vocabulary', merge);
    // Bytes of unknown characters would then merge with each other, which no published vocabulary does.
    if (byteOfToken(left) >= 0 || byteOfToken(right) >= 0 || byteOfToken(left + right) >= 0)
      reject('TK_MERGE', key, 'no byte token', merge);
    pairs[index * 4] = leftId;
    pairs[index * 4 + 1] = rightId;
    pairs[index * 4 + 2] = index;
    pairs[index * 4 + 3] = result;
  }
  return pairs;
}

function parseAddedTokens(list: unknown): AddedToken[] {
  if (list === undefined || list === null) return [];
  if (!Array.isArray(list)) reject('TK_ADDED_TOKEN', 'added_tokens', 'an array', list);
  return list.map((entry: unknown, index) => {
    const key = `added_tokens[${index}]`;
    if (!isJsonObject(entry)) reject('TK_ADDED_TOKEN', key, 'an object', entry);
    const id = own(entry, 'id');
    const content = own(entry, 'content');
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= largestVocabulary)
      reject('TK_ADDED_TOKEN', `${key}.id`, `a whole number below ${largestVocabulary}`, id);
    if (typeof content !== 'string') reject('TK_ADDED_TOKEN', `${key}.content`, 'a string', content);
    const flag = (name: string): boolean => {
      const value = own(entry, name) ?? false;
      if (typeof value !== 'boolean') reject('TK_ADDED_TOKEN', `${key}.${name}`, 'true or false', value);
      return value;
    };
    for (const name of ['single_word', 'normalized'])
      if (flag(name))
        reject('TK_ADDED_TOKEN', `${key}.${name}`, 'false', true, 'No published Phi-3 tokenizer sets it.');
    return { id, content, special: flag('special'), lstrip: flag('lstrip'), rstrip: flag('rstrip') };
  });
}

function checkTruncationAndPadding(json: JsonObject): TokenizerWarning[] {
  const warnings: TokenizerWarning[] = [];
  const truncation = own(json, 'truncation') ?? undefined;
  const padding = own(json, 'padding') ?? undefined;
  const count = (block: JsonObject, path: string, lowest: number, fallback: number | undefined): number => {
    const key = path.slice(path.lastIndexOf('.') + 1);
    const value = own(block, key) ?? fallback;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < lowest)
      reject('TK_TRUNCATION', path, `a whole number from ${lowest}`, value);
    return value;
  };
  if (truncation !== undefined) {
    if (!isJsonObject(truncation)) reject('TK_TRUNCATION', 'truncation', 'an object or null', truncation);
    const maxLength = count(truncation, 'truncation.max_length', 1, undefined);
    const stride = count(truncation, 'truncation.stride', 0, 0);
    if (stride >= maxLength) reject('TK_TRUNCATION', 'truncation.stride', `less than max_length ${maxLength}`, stride);
    warnings.push({ code: 'TK_IGNORED', message: 'truncation of tokenizer.json is not applied: encode never cuts' });
  }
  if (padding !== undefined) {
    if (!isJsonObject(padding)) reject('TK_TRUNCATION', 'padding', 'an object or null', padding);
    const strategy = own(padding, 'strategy');
    if (isJsonObject(strategy)) count(strategy, 'padding.strategy.Fixed', 1, undefined);
    else if (strategy !== 'BatchLongest')
      reject('TK_TRUNCATION', 'padding.strategy', '"BatchLongest" or {"Fixed": length}', strategy);
    if (own(padding, 'pad_to_multiple_of') !== null) count(padding, 'padding.pad_to_multiple_of', 1, 1);
    warnings.push({ code: 'TK_IGNORED', message: 'padding of tokenizer.json is not applied: encode never pads' });
  }
  return warnings;
}

function reject(code: TokenizerErrorCode, key: string, expected: string, got: unknown, hint?: string): never {
  rejectJson(code, functionName, key, expected, got, hint);
}
