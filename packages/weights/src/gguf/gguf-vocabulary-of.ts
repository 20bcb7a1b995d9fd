import { expectKnownOptions, Phi3Error } from '@phiblocks/tensor';
import type { ModelConfig } from '../config/model-config.ts';
import { type JsonValue, parseStrictJson } from '../strict-json.ts';
import type { GgufErrorCode } from './error-codes.ts';
import type { GgufVocabulary } from './gguf-vocabulary.ts';

/** The other files of a checkpoint that say something about its tokens. */
export interface GgufVocabularyOptions {
  /** `tokenizer_config.json`: which tokens begin and end a text, and whether they are added. */
  tokenizerConfig?: Uint8Array | undefined;
}

/** Scores of SentencePiece's models and of llama.cpp's converter. */
const scoreOfAddedToken = -1000;
const scoreOfPadding = -10000;
const scoreOfLateRun = -1e9;

// llama.cpp `include/llama.h`, enum llama_token_type.
const normal = 1;
const control = 3;
const userDefined = 4;
const unused = 5;
const byte = 6;

/**
 * The vocabulary of a `tokenizer.json` as GGUF keeps it: SentencePiece's pieces with scores and types, up to the rows of the
 * embedding. Tokenizers of other kinds (the byte-level one of Phi-4-mini) are refused.
 *
 * A `tokenizer.json` has merges in the place of scores. They give the scores back: pieces of SentencePiece's BPE are numbered
 * in the order in which they were merged, and score the negative of that number. Runs of `▁` that merge behind everything
 * else, and `▁` with them, get −10⁹ as in the SentencePiece model of Llama and Phi-3. Where the order of the ids is another, scores follow the
 * order of the merges.
 *
 * Source: llama.cpp `conversion/phi.py`, `Phi3MiniModel.set_vocab`, and `gguf-py/gguf/vocab.py`, `SpecialVocab`.
 *
 * @param tokenizerJson - the file
 * @param config - of the same checkpoint; ids that `tokenizer_config.json` does not state come from it
 * @returns lists of `config.vocabSize` entries
 * @throws Phi3Error `GG_TOKENIZER` for a file that is no JSON, or describes a tokenizer that GGUF's model `llama` is not, or
 * has more tokens than the embedding rows; `OPTION_UNKNOWN`
 * @example
 * const vocab = Object.fromEntries(['<unk>', '▁', 'a', '▁a'].map((piece, id) => [piece, id]));
 * const model = { type: 'BPE', unk_token: '<unk>', byte_fallback: true, vocab, merges: ['▁ a'] };
 * const bytes = new TextEncoder().encode(JSON.stringify({ added_tokens: [], model }));
 * const config = { vocabSize: 5, bosTokenId: undefined, eosTokenIds: [], padTokenId: undefined };
 * ggufVocabularyOf(bytes, config).tokens; // => ['<unk>', '▁', 'a', '▁a', '[PAD4]']
 */
export function ggufVocabularyOf(
  tokenizerJson: Uint8Array,
  config: Pick<ModelConfig, 'vocabSize' | 'bosTokenId' | 'eosTokenIds' | 'padTokenId'>,
  options: GgufVocabularyOptions = {},
): GgufVocabulary {
  expectKnownOptions('ggufVocabularyOf', options, ['tokenizerConfig']);
  const { vocabSize } = config;
  const root = objectOf('tokenizer.json', readJson('tokenizer.json', tokenizerJson));
  const settings = options.tokenizerConfig && readJson('tokenizer_config.json', options.tokenizerConfig);
  const tokenizerConfig = settings === undefined ? new Map() : objectOf('tokenizer_config.json', settings);
  const model = objectOf('model', root.get('model'));
  if (model.get('type') !== 'BPE' || model.get('byte_fallback') !== true) {
    throw tokenizerError('model.type', 'BPE with byte_fallback, which is SentencePiece', model.get('type'));
  }

  const tokens = Array.from({ length: vocabSize }, (_, id) => `[PAD${id}]`);
  const scores = new Float32Array(vocabSize).fill(scoreOfPadding);
  const tokenTypes = new Int32Array(vocabSize).fill(unused);
  const idOf = new Map<string, number>();
  for (const [text, id] of objectOf('model.vocab', model.get('vocab'))) {
    expectId(`model.vocab ${text}`, id, vocabSize);
    if (tokenTypes[id] !== unused) throw tokenizerError(`model.vocab ${text}`, 'every id once', id);
    idOf.set(text, id);
    tokens[id] = text;
    tokenTypes[id] = /^<0x[0-9A-F]{2}>$/.test(text) ? byte : normal;
    scores[id] = 0;
  }
  const added = readAddedTokens(root.get('added_tokens'), vocabSize);
  for (const [text, { id }] of added) idOf.set(text, id);
  const addedIds = new Set([...added.values()].map(({ id }) => id));
  scorePieces(scores, mergedPieces(model.get('merges'), idOf), tokens, tokenTypes, addedIds);
  for (const [text, { id, special }] of added) {
    tokens[id] = text;
    scores[id] = scoreOfAddedToken;
    tokenTypes[id] = special ? control : userDefined;
  }

  const namedId = (key: string): number | undefined => {
    const value = tokenizerConfig.get(key);
    const text = value instanceof Map ? value.get('content') : value; // older files write the token with its flags
    return typeof text === 'string' ? idOf.get(text) : undefined;
  };
  const unkToken = model.get('unk_token');
  const bosTokenId = namedId('bos_token') ?? config.bosTokenId;
  const eosTokenId = namedId('eos_token') ?? config.eosTokenIds[0];
  const [firstAdded, lastAdded] = templateEnds(root.get('post_processor'));
  const flag = (key: string, byTemplate: boolean): boolean => {
    const stated = tokenizerConfig.get(key);
    return typeof stated === 'boolean' ? stated : byTemplate;
  };
  return {
    model: 'llama',
    preTokenizer: 'default',
    tokens,
    scores,
    tokenTypes,
    merges: undefined,
    bosTokenId,
    eosTokenId,
    eotTokenId: undefined,
    unknownTokenId: namedId('unk_token') ?? (typeof unkToken === 'string' ? idOf.get(unkToken) : undefined),
    paddingTokenId: namedId('pad_token') ?? config.padTokenId,
    addBosToken: flag('add_bos_token', firstAdded !== undefined && idOf.get(firstAdded) === bosTokenId),
    addEosToken: flag('add_eos_token', lastAdded !== undefined && idOf.get(lastAdded) === eosTokenId),
    // Absent means true to llama.cpp, and is what its converter writes for Phi-3.
    addSpacePrefix: hasPrefix(root.get('normalizer')) ? undefined : false,
  };
}

function readJson(file: string, bytes: Uint8Array): JsonValue {
  const code: GgufErrorCode = 'GG_TOKENIZER';
  const codes = { utf8: code, syntax: code, depth: code, duplicate: code };
  return parseStrictJson(bytes, { function: 'ggufVocabularyOf', file, maxDepth: 64, codes });
}

/** The ids of the pieces that merges give, each where it is given first. */
function mergedPieces(merges: JsonValue | undefined, idOf: ReadonlyMap<string, number>): number[] {
  if (!Array.isArray(merges)) throw tokenizerError('model.merges', 'an array', merges);
  const ids = new Set<number>();
  for (const [rank, merge] of (merges as readonly JsonValue[]).entries()) {
    // A text with one space in it, or in later files a pair.
    const pair: readonly JsonValue[] = typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? merge : [];
    const id = pair.length === 2 ? idOf.get(`${pair[0]}${pair[1]}`) : undefined;
    if (id === undefined) throw tokenizerError(`model.merges[${rank}]`, 'two pieces that give a piece', merge);
    ids.add(id);
  }
  return [...ids];
}

function scorePieces(
  scores: Float32Array,
  merged: readonly number[],
  tokens: readonly string[],
  tokenTypes: Int32Array,
  addedIds: ReadonlySet<number>,
): void {
  const isPiece = (id: number): boolean => tokenTypes[id] === normal && !addedIds.has(id);
  const pieces = tokens.map((_, id) => id).filter(isPiece);
  const turn = merged.findIndex((id, i) => i > 0 && id < merged[i - 1]!);
  const late = turn < 0 ? [] : merged.slice(turn);
  if (late.every((id) => /^▁+$/.test(tokens[id]!))) {
    for (const id of pieces) scores[id] = 0 - (id - pieces[0]!); // 0, not -0
    // With them `▁` itself, which is a run of one.
    const runs = late.length > 0 ? [...late, ...pieces.filter((id) => tokens[id] === '▁')] : [];
    for (const id of runs) scores[id] = scoreOfLateRun;
    return;
  }
  // Pieces that no merge gives are single characters, whose scores decide nothing.
  const inOrder = new Set([...merged.filter(isPiece), ...pieces]);
  for (const [rank, id] of [...inOrder].entries()) scores[id] = 0 - rank;
}

function readAddedTokens(
  list: JsonValue | undefined,
  vocabSize: number,
): Map<string, { readonly id: number; readonly special: boolean }> {
  const added = new Map<string, { id: number; special: boolean }>();
  if (list === undefined || list === null) return added;
  if (!Array.isArray(list)) throw tokenizerError('added_tokens', 'an array', list);
  for (const [index, entry] of (list as readonly JsonValue[]).entries()) {
    const fields = objectOf(`added_tokens[${index}]`, entry);
    const content = fields.get('content');
    const id = fields.get('id');
    if (typeof content !== 'string') throw tokenizerError(`added_tokens[${index}].content`, 'a string', content);
    expectId(`added_tokens[${index}].id`, id, vocabSize);
    added.set(content, { id, special: fields.get('special') === true });
  }
  return added;
}

/** The special tokens at both ends of the template for a single text. */
function templateEnds(processor: JsonValue | undefined): [first: string | undefined, last: string | undefined] {
  const single = processor instanceof Map ? processor.get('single') : undefined;
  if (!Array.isArray(single)) return [undefined, undefined];
  const specialOf = (item: JsonValue | undefined): string | undefined => {
    const special = item instanceof Map ? item.get('SpecialToken') : undefined;
    const id = special instanceof Map ? special.get('id') : undefined;
    return typeof id === 'string' ? id : undefined;
  };
  return [specialOf(single[0]), specialOf(single.at(-1))];
}

/** Whether the normalizer puts `▁` in front of a text. A tokenizer that names no normalizer at all passes for Phi-3's. */
function hasPrefix(normalizer: JsonValue | undefined): boolean {
  if (!(normalizer instanceof Map)) return true;
  const parts = normalizer.get('normalizers');
  const list: readonly JsonValue[] = Array.isArray(parts) ? parts : [normalizer];
  return list.some((part) => part instanceof Map && part.get('type') === 'Prepend' && part.get('prepend') === '▁');
}

function objectOf(key: string, value: JsonValue | undefined): ReadonlyMap<string, JsonValue> {
  if (value instanceof Map) return value;
  throw tokenizerError(key, 'an object', value);
}

function expectId(key: string, id: JsonValue | undefined, vocabSize: number): asserts id is number {
  if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < vocabSize) return;
  throw tokenizerError(key, `an id below vocab_size, ${vocabSize}`, id);
}

function tokenizerError(key: string, expected: string, got: unknown): Phi3Error<GgufErrorCode> {
  const where = { file: 'tokenizer.json', key };
  return new Phi3Error({ code: 'GG_TOKENIZER', function: 'ggufVocabularyOf', expected, got, where });
}
