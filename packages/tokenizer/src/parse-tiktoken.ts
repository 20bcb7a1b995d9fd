import { ArgumentError, expectKnownOptions } from '@phiblocks/tensor';
import { checkAddedTokens } from './added-tokens.ts';
import { Cl100kSplitter, cl100kPattern } from './cl100k-splitter.ts';
import { createTokenizer } from './create-tokenizer.ts';
import { tokenizerError } from './errors.ts';
import { largestVocabulary, readFileText } from './file-text.ts';
import { RankMerges } from './rank-merges.ts';
import { TiktokenDecoder } from './tiktoken-decoder.ts';
import { bytesAsText, TiktokenEncoder } from './tiktoken-encoder.ts';
import type { AddedToken, Tokenizer } from './tokenizer.ts';

/** Longest token accepted; the longest of cl100k has 128 bytes. */
const longestTokenInBytes = 1024;

/** What a tiktoken file does not say about its tokenizer. */
export interface TiktokenOptions {
  /** Special tokens with ids above the ranks. `special` says whether `skipSpecialTokens` drops one; default true. */
  specialTokens?: readonly { id: number; content: string; special?: boolean }[];
  /** The pattern that came with the file; only that of cl100k is known. Patterns are compared, never run. */
  pattern?: string;
  bosTokenId?: number;
  eosTokenId?: number;
  padTokenId?: number;
}

/**
 * Reads a `.tiktoken` file: one token per line, its bytes in base64, a space, its rank. The text is cut by the cl100k
 * pattern, and every part merges by rank.
 *
 * Source: tiktoken `src/lib.rs`, `tiktoken_ext/openai_public.py`.
 *
 * @param ranks - the file; lines end with `\n` and stand in the order of their ranks 0, 1, 2, …
 * @throws Phi3Error `TK_RANKS` with the line number, `TK_REGEX` for another pattern, `TK_BYTE_FALLBACK`,
 *   `TK_ADDED_TOKEN`, `TK_TOO_LARGE`, `TK_JSON` when bytes are not UTF-8, `OPTION_UNKNOWN`
 * @example
 * const bytes = Array.from({ length: 256 }, (_, byte) => `${btoa(String.fromCharCode(byte))} ${byte}`);
 * const tokenizer = parseTiktoken(`${bytes.join('\n')}\n${btoa('ab')} 256\n`);
 * tokenizer.encode('abba'); // => [256, 98, 97]
 */
export function parseTiktoken(ranks: string | Uint8Array, options: TiktokenOptions = {}): Tokenizer {
  expectKnownOptions('parseTiktoken', options, ['specialTokens', 'pattern', 'bosTokenId', 'eosTokenId', 'padTokenId']);
  const { specialTokens = [], pattern = cl100kPattern, bosTokenId, eosTokenId, padTokenId } = options;
  if (pattern !== cl100kPattern)
    throw tokenizerError({
      code: 'TK_REGEX',
      function: 'parseTiktoken',
      argument: 'pattern',
      expected: 'the cl100k pattern',
      got: pattern,
      hint: 'Patterns are never run. Support for another one has to be written by hand.',
    });
  const { idOf, tokens, longestToken } = parseRanks(readFileText('parseTiktoken', 'ranks', ranks));
  for (let byte = 0; byte < 256; byte++)
    if (!idOf.has(String.fromCharCode(byte)))
      throw tokenizerError({
        code: 'TK_BYTE_FALLBACK',
        function: 'parseTiktoken',
        argument: 'ranks',
        expected: 'a token for every byte',
        got: `none for 0x${byte.toString(16).padStart(2, '0')}`,
      });

  const addedTokens: AddedToken[] = [];
  for (const { id, content, special = true } of specialTokens) {
    if (!Number.isInteger(id) || id < 0 || id >= largestVocabulary || typeof content !== 'string')
      throw new ArgumentError({
        function: 'parseTiktoken',
        argument: 'specialTokens',
        expected: `ids from 0 to ${largestVocabulary - 1} with text`,
        got: id,
      });
    addedTokens.push(Object.freeze({ id, content, special, lstrip: false, rstrip: false }));
  }
  checkAddedTokens(
    'parseTiktoken',
    addedTokens,
    (content) => idOf.get(bytesAsText(content, 0, content.length)),
    (id) => tokens[id],
  );
  const addedBytes = new Map(addedTokens.map(({ id, content }) => [id, bytesAsText(content, 0, content.length)]));
  const addedByContent = new Map(addedTokens.map(({ id, content }) => [content, id]));
  let vocabSize = tokens.length;
  for (const { id } of addedTokens) vocabSize = Math.max(vocabSize, id + 1);

  const bytesOf = (id: number): string => {
    const bytes = tokens[id] ?? addedBytes.get(id);
    if (bytes !== undefined) return bytes;
    throw tokenizerError({ code: 'TK_ID_RANGE', function: 'decode', argument: 'id', expected: 'a token id', got: id });
  };
  const decoder = new TiktokenDecoder(
    bytesOf,
    new Set(addedTokens.filter(({ special }) => special).map(({ id }) => id)),
  );
  return createTokenizer({
    kind: 'tiktoken',
    vocabSize,
    addedTokens: Object.freeze(addedTokens),
    prefixIds: [],
    suffixIds: [],
    bosTokenId,
    eosTokenId,
    padTokenId,
    warnings: [],
    encoder: new TiktokenEncoder(idOf, longestToken, new RankMerges(idOf, tokens, longestToken), new Cl100kSplitter()),
    decoder,
    idLimit: vocabSize,
    tokenToId: (token) => addedByContent.get(token) ?? idOf.get(bytesAsText(token, 0, token.length)),
    idToToken: (id) => (tokens[id] === undefined && !addedBytes.has(id) ? undefined : decoder.decode([id], false)),
  });
}

/** Tokens by rank and ranks by token, a token as one character U+0000 … U+00FF per byte. */
function parseRanks(text: string): { idOf: Map<string, number>; tokens: string[]; longestToken: number } {
  const idOf = new Map<string, number>();
  const tokens: string[] = [];
  let longestToken = 0;
  let line = 0;
  for (let start = 0; start < text.length; ) {
    const newlineAt = text.indexOf('\n', start);
    const end = newlineAt < 0 ? text.length : newlineAt;
    line++;
    const reject = (expected: string, got: string): never => {
      throw tokenizerError({ code: 'TK_RANKS', function: 'parseTiktoken', expected, got, where: { line } });
    };
    if (end - start > 2 * longestTokenInBytes)
      reject(`a line of at most ${2 * longestTokenInBytes} characters`, 'more');
    if (text.charCodeAt(end - 1) === 0x0d) reject('lines that end with a line feed alone', 'a carriage return');
    const separator = text.indexOf(' ', start);
    if (separator < 0 || separator >= end) reject('base64, a space, a rank', text.slice(start, end));
    const rank = text.slice(separator + 1, end);
    if (rank !== String(tokens.length)) reject(`rank ${tokens.length}, the next one`, rank);
    if (tokens.length === largestVocabulary)
      throw tokenizerError({
        code: 'TK_TOO_LARGE',
        function: 'parseTiktoken',
        expected: `at most ${largestVocabulary} tokens`,
        where: { line },
      });
    const base64 = text.slice(start, separator);
    const token = decodeBase64(base64);
    if (token === undefined) return reject('base64 of at least one byte', base64);
    if (token.length > longestTokenInBytes) reject(`a token of at most ${longestTokenInBytes} bytes`, base64);
    if (idOf.has(token)) reject('every token once', base64);
    idOf.set(token, tokens.length);
    tokens.push(token);
    longestToken = Math.max(longestToken, token.length);
    start = end + 1;
  }
  return { idOf, tokens, longestToken };
}

/** Bytes of base64 with padding, one character each; undefined when it is malformed. `atob` alone would forgive much. */
function decodeBase64(base64: string): string | undefined {
  if (base64.length === 0 || base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return undefined;
  const bytes = atob(base64);
  return btoa(bytes) === base64 ? bytes : undefined;
}
