import { expectKnownOptions } from '@phiblocks/tensor';
import { checkAddedTokens } from './added-tokens.ts';
import { checkByteIds, createSentencepieceTokenizer } from './create-sentencepiece-tokenizer.ts';
import { derivePairs } from './derive-pairs.ts';
import type { TokenizerErrorCode } from './errors.ts';
import { largestVocabulary } from './file-text.ts';
import { reject as rejectFile } from './json-values.ts';
import { PairTable } from './pair-table.ts';
import { byteOfToken } from './sentencepiece-decoder.ts';
import type { AddedToken, Tokenizer, TokenizerWarning } from './tokenizer.ts';

const functionName = 'createGgufTokenizer';
/** Longest token accepted; the longest of Phi-3 has 16 characters. It bounds how often a token can be cut in two. */
const longestToken = 1024;

// `tokenizer.ggml.token_type`, llama.cpp `include/llama.h` enum llama_token_type.
const normal = 1;
const unknown = 2;
const control = 3;
const userDefined = 4;
const unused = 5;
const byte = 6;

/** The vocabulary of a GGUF file, already parsed: the keys `tokenizer.ggml.…`. */
export interface GgufVocabulary {
  /** `model`; `llama` means SentencePiece-style BPE and is the only one supported. */
  model?: string;
  tokens: ArrayLike<string>;
  scores: ArrayLike<number>;
  /** `token_type` */
  tokenTypes: ArrayLike<number>;
  addBosToken?: boolean;
  addEosToken?: boolean;
  addSpacePrefix?: boolean;
  bosTokenId?: number;
  eosTokenId?: number;
  paddingTokenId?: number;
  unknownTokenId?: number;
}

/** Checkpoints whose rules for white space after added tokens are published. */
export type AddedTokenRules = 'phi-3-mini-first-release' | 'phi-3-mini' | 'phi-3-medium' | 'phi-3-vision';

/** What a GGUF file does not say. */
export interface GgufTokenizerOptions {
  /**
   * GGUF has no field for `rstrip`. This names the checkpoint whose published rules apply; without it nothing is stripped
   * and a warning says so.
   */
  addedTokenRules?: AddedTokenRules;
}

/**
 * A tokenizer from the vocabulary of a GGUF file. Merges follow from the scores: the higher the score of what two tokens
 * give, the sooner they merge. Control tokens become special added tokens, user-defined ones added tokens; rows of type
 * unknown or unused (`[PAD32011]`) are no tokens at all.
 *
 * Source: llama.cpp `src/llama-vocab.cpp` (`llm_tokenizer_spm`), sentencepiece `bpe_model.cc`.
 *
 * @throws Phi3Error `TK_GGUF` when arrays differ in length or an entry is malformed, `TK_BYTE_FALLBACK`, `TK_VOCAB`,
 *   `TK_MODEL`, `TK_TOO_LARGE`, `TK_ADDED_TOKEN`, `OPTION_UNKNOWN`
 * @example
 * const tokens = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
 * const tokenTypes = tokens.map(() => 6);
 * tokens.push('▁', 'a', '▁a');
 * tokenTypes.push(1, 1, 1);
 * createGgufTokenizer({ tokens, tokenTypes, scores: tokens.map(() => 0) }).encode('a a\n'); // => [258, 258, 10]
 */
export function createGgufTokenizer(vocabulary: GgufVocabulary, options: GgufTokenizerOptions = {}): Tokenizer {
  expectKnownOptions(functionName, options, ['addedTokenRules']);
  expectKnownOptions(functionName, vocabulary, [
    'model',
    'tokens',
    'scores',
    'tokenTypes',
    'addBosToken',
    'addEosToken',
    'addSpacePrefix',
    'bosTokenId',
    'eosTokenId',
    'paddingTokenId',
    'unknownTokenId',
  ]);
  const { model = 'llama', tokens: texts, scores, tokenTypes, addSpacePrefix = true } = vocabulary;
  const { addBosToken = true, addEosToken = false } = vocabulary; // the defaults of llama.cpp for this model
  if (model !== 'llama') reject('TK_MODEL', 'model', "'llama'", model);
  const count = texts?.length;
  if (count === undefined || count !== scores?.length || count !== tokenTypes?.length)
    reject('TK_GGUF', 'tokens', 'tokens, scores and token_type of one length', [
      count,
      scores?.length,
      tokenTypes?.length,
    ]);
  if (count > largestVocabulary) reject('TK_TOO_LARGE', 'tokens', `at most ${largestVocabulary} tokens`, count);

  const tokens: (string | undefined)[] = new Array(count).fill(undefined);
  const idOf = new Map<string, number>();
  const byteIds = new Int32Array(256).fill(-1);
  const addedTokens: AddedToken[] = [];
  const stripsRight = rstripRule(options.addedTokenRules);
  for (let id = 0; id < count; id++) {
    const text = texts[id];
    const type = tokenTypes[id]!;
    if (typeof text !== 'string') reject('TK_GGUF', `tokens[${id}]`, 'a string', text);
    if (type === normal) {
      if (text === '' || text.length > longestToken)
        reject('TK_VOCAB', `tokens[${id}]`, `1 to ${longestToken} code units`, text.length);
      if (idOf.has(text)) reject('TK_VOCAB', `tokens[${id}]`, 'every token once', text);
      if (!Number.isFinite(scores[id])) reject('TK_GGUF', `scores[${id}]`, 'a finite number', scores[id]);
      tokens[id] = text;
      idOf.set(text, id);
    } else if (type === byte) {
      const value = byteOfToken(text);
      if (value < 0) reject('TK_GGUF', `tokens[${id}]`, 'a byte token <0x00> … <0xFF>', text);
      if (byteIds[value] !== -1) reject('TK_GGUF', `tokens[${id}]`, 'every byte once', text);
      byteIds[value] = id;
      tokens[id] = text;
    } else if (type === control || type === userDefined || (type === unknown && id === vocabulary.unknownTokenId)) {
      const special = type !== userDefined;
      addedTokens.push({ id, content: text, special, lstrip: false, rstrip: stripsRight(text) });
    } else if (type !== unknown && type !== unused) {
      reject('TK_GGUF', `token_type[${id}]`, 'a token type from 1 to 6', type);
    }
  }
  checkByteIds(functionName, byteIds);
  checkAddedTokens(
    functionName,
    addedTokens,
    (content) => idOf.get(content),
    (id) => tokens[id],
  );
  const tokenId = (key: 'bosTokenId' | 'eosTokenId' | 'paddingTokenId' | 'unknownTokenId'): number | undefined => {
    const id = vocabulary[key];
    if (id !== undefined && !(Number.isInteger(id) && id >= 0 && id < count))
      reject('TK_GGUF', key, `an id below ${count}`, id);
    return id;
  };
  const bosTokenId = tokenId('bosTokenId');
  const eosTokenId = tokenId('eosTokenId');
  const warnings: TokenizerWarning[] = [];
  if (options.addedTokenRules === undefined && addedTokens.length > 0)
    warnings.push({
      code: 'TK_RULES_UNKNOWN',
      message: 'a GGUF file does not say which added tokens swallow white space; none does without addedTokenRules',
    });
  const priorities = prioritiesByScore(idOf, scores, count);
  return createSentencepieceTokenizer({
    tokens,
    idOf,
    byteIds,
    merges: new PairTable(
      functionName,
      derivePairs(idOf, (id) => priorities[id]!),
    ),
    addedTokens,
    addPrefix: addSpacePrefix,
    stripFirstSpace: addSpacePrefix,
    prefixIds: addBosToken && bosTokenId !== undefined ? [bosTokenId] : [],
    suffixIds: addEosToken && eosTokenId !== undefined ? [eosTokenId] : [],
    bosTokenId,
    eosTokenId,
    padTokenId: tokenId('paddingTokenId'),
    unknownTokenId: tokenId('unknownTokenId'),
    warnings,
  });
}

/** Priorities 0, 1, 2, … from the highest score down; equal scores share one, so that the leftmost merges first. */
function prioritiesByScore(idOf: ReadonlyMap<string, number>, scores: ArrayLike<number>, count: number): Int32Array {
  const ids = [...idOf.values()].sort((a, b) => scores[b]! - scores[a]!);
  const priorities = new Int32Array(count);
  let priority = 0;
  for (const [place, id] of ids.entries()) {
    if (place > 0 && scores[id] !== scores[ids[place - 1]!]) priority++;
    priorities[id] = priority;
  }
  return priorities;
}

/** `rstrip` by content, as the `tokenizer.json` of each checkpoint has it. */
function rstripRule(rules: AddedTokenRules | undefined): (content: string) => boolean {
  switch (rules) {
    case undefined:
    case 'phi-3-mini-first-release':
      return () => false;
    case 'phi-3-mini':
    case 'phi-3-medium':
      return (content) => !['<unk>', '<s>', '<|endoftext|>'].includes(content);
    case 'phi-3-vision':
      return (content) => !['<unk>', '<s>', '<|endoftext|>', '<|system|>', '<|end|>', '<|user|>'].includes(content);
    default:
      return reject(
        'TK_MODEL',
        'addedTokenRules',
        'phi-3-mini-first-release, phi-3-mini, phi-3-medium or phi-3-vision',
        rules,
      );
  }
}

function reject(code: TokenizerErrorCode, key: string, expected: string, got: unknown): never {
  rejectFile(code, functionName, key, expected, got);
}
