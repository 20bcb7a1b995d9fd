import { readFileSync } from 'node:fs';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import { expect, it } from 'vitest';
import { createGgufTokenizer, detectChatTemplate, type GgufVocabulary } from '../src/index.ts';
import { golden, loadTokenizer } from './shared-tokenizers.ts';

/** The metadata of a GGUF file, read by a few lines that share nothing with the product's reader. */
function readGgufMetadata(path: string): Map<string, unknown> {
  const bytes = readFileSync(path);
  let at = 16;
  const take = (size: number): number => {
    at += size;
    return at - size;
  };
  const readers: Record<number, () => unknown> = {
    0: () => bytes.readUInt8(take(1)),
    1: () => bytes.readInt8(take(1)),
    2: () => bytes.readUInt16LE(take(2)),
    3: () => bytes.readInt16LE(take(2)),
    4: () => bytes.readUInt32LE(take(4)),
    5: () => bytes.readInt32LE(take(4)),
    6: () => bytes.readFloatLE(take(4)),
    7: () => bytes.readUInt8(take(1)) !== 0,
    8: () => {
      const length = Number(bytes.readBigUInt64LE(take(8)));
      return bytes.toString('utf8', take(length), at);
    },
    9: () => {
      const read = readers[bytes.readUInt32LE(take(4))]!;
      return Array.from({ length: Number(bytes.readBigUInt64LE(take(8))) }, read);
    },
  };
  const count = Number(bytes.readBigUInt64LE(take(8)));
  const metadata = new Map<string, unknown>();
  for (let i = 0; i < count; i++) {
    const key = readers[8]!() as string;
    metadata.set(key, readers[bytes.readUInt32LE(take(4))]!());
  }
  return metadata;
}

describeWithShared('GGUF vocabulary of Phi-3', 'tokenizers/gguf/ggml-vocab-phi-3.gguf', () => {
  const path = sharedPath('tokenizers', 'gguf', 'ggml-vocab-phi-3.gguf');
  const load = () => {
    const metadata = readGgufMetadata(path);
    const get = (key: string) => metadata.get(`tokenizer.ggml.${key}`);
    const vocabulary = {
      model: get('model'),
      tokens: get('tokens'),
      scores: get('scores'),
      tokenTypes: get('token_type'),
      addBosToken: get('add_bos_token'),
      addEosToken: get('add_eos_token'),
      bosTokenId: get('bos_token_id'),
      eosTokenId: get('eos_token_id'),
      paddingTokenId: get('padding_token_id'),
      unknownTokenId: get('unknown_token_id'),
    } as GgufVocabulary;
    return { metadata, vocabulary };
  };

  it('gives the ids of all 47 vectors of llama.cpp', () => {
    const tokenizer = createGgufTokenizer(load().vocabulary);
    const texts = readFileSync(`${path}.inp`, 'utf8').split('\n__ggml_vocab_test__\n');
    const lines = readFileSync(`${path}.out`, 'utf8').split('\n'); // the last text and its line are empty
    expect(lines).toHaveLength(texts.length);
    const vectors = texts.map((text, i) => [text, lines[i]!.trim()] as const);
    expect(vectors).toHaveLength(47);
    for (const [text, line] of vectors) {
      const expected = line === '' ? [] : line.split(/ +/).map(Number);
      expect([...tokenizer.encode(text, { addSpecialTokens: false })], JSON.stringify(text)).toEqual(expected);
    }
  });

  it('is the tokenizer of the first release: same ids with and without special tokens, same texts', () => {
    const tokenizer = createGgufTokenizer(load().vocabulary, { addedTokenRules: 'phi-3-mini-first-release' });
    expect(tokenizer).toMatchObject({ vocabSize: 32011, bosTokenId: 1, eosTokenId: 32000, warnings: [] });
    // The GGUF is of a later revision in one flag: it has </s> as user-defined.
    for (const { text } of golden('encode-phi-3-mini-first-release').cases)
      expect(tokenizer.encode(text)).toEqual(loadTokenizer('phi-3-mini-first-release').encode(text));
  });

  it('follows the published white space rules when the checkpoint is named', () => {
    for (const addedTokenRules of ['phi-3-mini', 'phi-3-medium'] as const) {
      const tokenizer = createGgufTokenizer({ ...load().vocabulary, addBosToken: false }, { addedTokenRules });
      for (const { text, ids } of golden('encode-phi-3-mini').cases) expect([...tokenizer.encode(text)]).toEqual(ids);
      for (const { ids, text, text_skip: skipped } of golden('decode-phi-3-mini').cases) {
        expect(tokenizer.decode(ids)).toBe(text);
        expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(skipped);
      }
    }
    // Merges from scores and merges from the list are the same merges; so are the rules of vision, less its own tokens.
    const vision = createGgufTokenizer(load().vocabulary, { addedTokenRules: 'phi-3-vision' });
    const flags = new Map(loadTokenizer('phi-3-vision').addedTokens.map((token) => [token.content, token.rstrip]));
    for (const { content, rstrip } of vision.addedTokens)
      expect([content, rstrip]).toEqual([content, flags.get(content)]);
  });

  it('warns that white space rules are unknown otherwise', () => {
    expect(createGgufTokenizer(load().vocabulary).warnings).toMatchObject([{ code: 'TK_RULES_UNKNOWN' }]);
  });

  it('has a chat template that is recognised', () => {
    expect(detectChatTemplate(load().metadata.get('tokenizer.chat_template') as string)).toBe(
      'phi-3-mini-first-release',
    );
  });
});
