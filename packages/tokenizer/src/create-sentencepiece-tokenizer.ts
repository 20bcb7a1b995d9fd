import { createTokenizer } from './create-tokenizer.ts';
import { tokenizerError } from './errors.ts';
import type { Merges } from './pair-table.ts';
import { SentencepieceDecoder } from './sentencepiece-decoder.ts';
import { SentencepieceEncoder } from './sentencepiece-encoder.ts';
import type { AddedToken, Tokenizer, TokenizerWarning } from './tokenizer.ts';

/** A vocabulary that has been checked, wherever it came from. */
export interface CheckedVocabulary {
  /** Texts by id without the added tokens; undefined for an id without a token. */
  tokens: (string | undefined)[];
  /** Ids by text of the tokens that text can merge to. */
  idOf: ReadonlyMap<string, number>;
  byteIds: Int32Array;
  merges: Merges;
  addedTokens: readonly AddedToken[];
  addPrefix: boolean;
  stripFirstSpace: boolean;
  prefixIds: readonly number[];
  suffixIds: readonly number[];
  bosTokenId?: number | undefined;
  eosTokenId?: number | undefined;
  padTokenId?: number | undefined;
  unknownTokenId?: number | undefined;
  warnings: readonly TokenizerWarning[];
}

export function createSentencepieceTokenizer(vocabulary: CheckedVocabulary): Tokenizer {
  const { tokens, idOf, byteIds, merges, addedTokens, addPrefix, stripFirstSpace } = vocabulary;
  const characters = new Map<number, number>();
  for (const [token, id] of idOf) {
    const codePoint = token.codePointAt(0)!;
    if (token.length === (codePoint > 0xffff ? 2 : 1)) characters.set(codePoint, id);
  }
  const encoder = new SentencepieceEncoder({ tokens, characters, byteIds, merges, addPrefix });

  const all = tokens.slice();
  const addedIds = new Map<string, number>();
  for (const { id, content } of addedTokens) {
    while (all.length < id) all.push(undefined);
    all[id] = content;
    addedIds.set(content, id);
  }
  const special = addedTokens.filter((token) => token.special).map(({ id }) => id);
  let vocabSize = all.length;
  while (vocabSize > 0 && all[vocabSize - 1] === undefined) vocabSize--;
  return createTokenizer({
    kind: 'sentencepiece-bpe',
    vocabSize,
    addedTokens: Object.freeze(addedTokens.map((token) => Object.freeze(token))),
    prefixIds: vocabulary.prefixIds,
    suffixIds: vocabulary.suffixIds,
    bosTokenId: vocabulary.bosTokenId,
    eosTokenId: vocabulary.eosTokenId,
    padTokenId: vocabulary.padTokenId,
    unknownTokenId: vocabulary.unknownTokenId,
    warnings: Object.freeze(vocabulary.warnings),
    encoder,
    decoder: new SentencepieceDecoder(all, special, stripFirstSpace),
    // The model has rows without a token (Phi-3-mini 32011 … 32063); the reference drops such ids.
    idLimit: 2 ** 31,
    tokenToId: (token) => addedIds.get(token) ?? idOf.get(token) ?? byteTokenId(token, tokens, byteIds),
    idToToken: (id) => all[id],
  });
}

function byteTokenId(token: string, tokens: readonly (string | undefined)[], byteIds: Int32Array): number | undefined {
  return byteIds.find((id) => tokens[id] === token);
}

/**
 * Ids of the 256 byte tokens.
 *
 * @param idOfByte - −1 where a byte has no token
 * @throws Phi3Error `TK_BYTE_FALLBACK`
 */
export function checkByteIds(functionName: string, idOfByte: Int32Array): Int32Array {
  const missing = idOfByte.indexOf(-1);
  if (missing >= 0)
    throw tokenizerError({
      code: 'TK_BYTE_FALLBACK',
      function: functionName,
      expected: 'a token <0x00> … <0xFF> for every byte',
      got: `none for <0x${missing.toString(16).toUpperCase().padStart(2, '0')}>`,
    });
  return idOfByte;
}
