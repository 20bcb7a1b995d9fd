import { readFileSync } from 'node:fs';
import { files } from '@phiblocks/nano/nano-mini';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import { parseTokenizerJson } from '@phiblocks/tokenizer';
import { describe, expect, it } from 'vitest';
import {
  byteTokenizer,
  countPieces,
  learnTiktokenTokenizer,
  lessonText,
  piecesOf,
  tokenizerOfFile,
} from '../figures/tokenizer-pieces.ts';

const nano = parseTokenizerJson(readFileSync(files['tokenizer.json']));
const texts = ['What is 48 + 39?', 'naïve 🦙 Straße', '  two  spaces\n\nand lines', 'a', ''];

describe('the figure of the tokenizer', () => {
  it.each(texts)('the pieces of every vocabulary make the text again: %j', (text) => {
    for (const tokenizer of [nano, byteTokenizer(), learnTiktokenTokenizer(lessonText, 100)]) {
      const pieces = piecesOf(tokenizer, text);
      expect(pieces.map(({ text: part }) => part).join('')).toBe(text);
      expect(pieces.map(({ id }) => id)).toEqual(Array.from(tokenizer.encode(text, { parseSpecialTokens: false })));
    }
  });

  it('bytes alone: one token for each byte of UTF-8', () => {
    for (const text of texts) {
      const counts = countPieces(piecesOf(byteTokenizer(), text), text);
      expect(counts.numTokens).toBe(counts.sizeInBytes);
      expect(counts.sizeInBytes).toBe(Buffer.byteLength(text));
    }
  });

  it('learning by hand: the commonest pair first, then the next', () => {
    // " ab" twice and "ab" once: a+b occurs 3 times, then " "+"ab" twice.
    const tokenizer = learnTiktokenTokenizer('ab ab ab', 2);
    expect(tokenizer.vocabSize).toBe(258);
    expect(tokenizer.idToToken(256)).toBe('ab');
    expect(tokenizer.idToToken(257)).toBe(' ab');
    expect(Array.from(tokenizer.encode('ab ab'))).toEqual([256, 257]);
    expect(learnTiktokenTokenizer('abcdef', 10).vocabSize).toBe(256); // no pair comes twice
  });

  it('the more is learnt, the fewer tokens', () => {
    const counts = [0, 50, 200].map(
      (merges) => piecesOf(learnTiktokenTokenizer(lessonText, merges), lessonText).length,
    );
    expect(counts[0]).toBe(Buffer.byteLength(lessonText));
    expect(counts[1]!).toBeLessThan(counts[0]!);
    expect(counts[2]!).toBeLessThan(counts[1]!);
  });

  it('special tokens in a text are text unless asked for', () => {
    expect(piecesOf(nano, '<|end|>').some(({ isAdded }) => isAdded)).toBe(false);
    expect(
      piecesOf(nano, '<|end|>', true)
        .filter(({ isAdded }) => isAdded)
        .map(({ token }) => token),
    ).toEqual(['<|end|>']);
  });

  it('reads the two kinds of files', () => {
    const json = readFileSync(files['tokenizer.json']);
    expect(tokenizerOfFile('tokenizer.json', json).kind).toBe('sentencepiece-bpe');
    const bytes = Array.from({ length: 256 }, (_, byte) => `${btoa(String.fromCharCode(byte))} ${byte}\n`).join('');
    expect(tokenizerOfFile('a.tiktoken', new TextEncoder().encode(bytes)).kind).toBe('tiktoken');
    expect(() => tokenizerOfFile('tokenizer.json', new TextEncoder().encode('{'))).toThrow(/^TK_/);
  });
});

describeWithShared('with the vocabularies that were published', 'tokenizers/phi-3-mini/tokenizer.json', () => {
  it('Phi-3-mini and Phi-3-small cut a text as they do', () => {
    const mini = tokenizerOfFile(
      'tokenizer.json',
      readFileSync(sharedPath('tokenizers', 'phi-3-mini', 'tokenizer.json')),
    );
    const small = tokenizerOfFile(
      'cl100k_base.tiktoken',
      readFileSync(sharedPath('tokenizers', 'phi-3-small', 'cl100k_base.tiktoken')),
    );
    expect(piecesOf(mini, 'Hello world').map(({ id, token }) => [id, token])).toEqual([
      [15043, '▁Hello'],
      [3186, '▁world'],
    ]);
    expect(piecesOf(small, 'Hello world').map(({ id, token }) => [id, token])).toEqual([
      [9906, 'Hello'],
      [1917, ' world'],
    ]);
  });
});
