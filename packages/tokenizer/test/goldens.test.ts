import { readFileSync } from 'node:fs';
import { describeWithShared, sharedPath } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import {
  type ChatTemplateName,
  detectChatTemplate,
  encodeChat,
  encodeVisionPrompt,
  parseTokenizerJson,
  renderChat,
  type Tokenizer,
} from '../src/index.ts';
import { golden, loadTokenizer, sharedText } from './shared-tokenizers.ts';

interface EncodeCase {
  id: string;
  text: string;
  ids: number[];
  ids_no_special?: number[];
}

// biome-ignore lint/suspicious/noExplicitAny: a case as the file has it, checked by what is asserted
type Recorded = any;

// Every case is compared, and the failures are listed together: the first ten say more than the first one.
function expectAll<Case extends { id?: string; text?: unknown } = Recorded>(
  cases: readonly Case[],
  failureOf: (testCase: Case) => unknown,
): void {
  const failures = cases.flatMap((testCase) => {
    const failure = failureOf(testCase);
    return failure === undefined ? [] : [{ case: testCase.id ?? testCase.text, failure }];
  });
  expect(cases.length).toBeGreaterThan(0);
  expect({ count: failures.length, first: failures.slice(0, 10) }).toEqual({ count: 0, first: [] });
}

const same = (actual: ArrayLike<number>, expected: readonly number[]): boolean =>
  actual.length === expected.length && expected.every((id, i) => actual[i] === id);

describeWithShared('goldens of the reference tokenizers', 'tokenizers/goldens', () => {
  describe.each(['phi-3-mini', 'phi-3-mini-first-release', 'phi-3-vision', 'phi-3-small'])('encode %s', (member) => {
    const { cases, bos_prefix: bosPrefix, ids_no_special: hasPlainIds }: Recorded = golden(`encode-${member}`);

    it('gives the ids with special tokens recognised', () => {
      const tokenizer = loadTokenizer(member);
      expectAll(cases, ({ text, ids }: { text: string; ids: number[] }) => {
        const actual = tokenizer.encode(text, { addSpecialTokens: false });
        return same(actual, ids) ? undefined : { got: [...actual], expected: ids };
      });
    });

    it('puts in front what the configuration asks for', () => {
      const tokenizer = loadTokenizer(member);
      expectAll(cases, ({ text, ids }: { text: string; ids: number[] }) =>
        same(tokenizer.encode(text), [...bosPrefix, ...ids]) ? undefined : 'with special tokens',
      );
    });

    it('reads special tokens as plain text when told to', () => {
      const tokenizer = loadTokenizer(member);
      // Only two files record it. Plain text does not depend on added tokens, and the pieces are those of phi-3-mini.
      const recorded: EncodeCase[] = hasPlainIds ? cases : golden('encode-phi-3-mini').cases;
      expectAll(recorded, ({ text, ids, ids_no_special: plain = ids }) => {
        const actual = tokenizer.encode(text, { addSpecialTokens: false, parseSpecialTokens: false });
        return same(actual, plain) ? undefined : { got: [...actual], expected: plain };
      });
    });

    it('is the same in chunks', async () => {
      const tokenizer = loadTokenizer(member);
      const text = cases.map((testCase: { text: string }) => testCase.text).join('\n');
      expect(await tokenizer.encodeAsync(text)).toEqual(tokenizer.encode(text));
    });
  });

  it('phi-3-medium has the ids of phi-3-mini', () => {
    const tokenizer = loadTokenizer('phi-3-medium');
    expectAll(golden('encode-phi-3-mini').cases, ({ text, ids }: { text: string; ids: number[] }) =>
      same(tokenizer.encode(text), ids) ? undefined : 'ids',
    );
  });

  it('published vectors', () => {
    expectAll(golden('published-vectors').cases, (testCase: { tokenizer: string; text: string; ids: number[] }) => {
      const actual = loadTokenizer(testCase.tokenizer).encode(testCase.text);
      return same(actual, testCase.ids) ? undefined : [...actual];
    });
  });

  it.each(['phi-3-mini', 'phi-3-vision', 'phi-3-small'])('decode %s', (member) => {
    const tokenizer = loadTokenizer(member);
    expectAll<Recorded>(golden(`decode-${member}`).cases, ({ ids, text, text_skip: skipped }) => {
      const actual = tokenizer.decode(ids);
      const actualSkipped = tokenizer.decode(ids, { skipSpecialTokens: true });
      return actual === text && actualSkipped === skipped ? undefined : { actual, text, actualSkipped, skipped };
    });
  });

  it.each(['phi-3-mini', 'phi-3-small'])('stream %s', (member) => {
    const tokenizer = loadTokenizer(member);
    const options = { skipSpecialTokens: true };
    const stream = tokenizer.createStreamDecoder(options);
    expectAll<Recorded>(
      golden(`stream-${member}`).cases,
      ({ ids, pieces, flush, malformed, joined, text_skip: text }) => {
        const actual = ids.map((id: number) => stream.push(id));
        const rest = stream.flush();
        if (malformed) {
          const got = actual.join('') + rest;
          const right = got === streamedByHand(ids, tokenizer) && tokenizer.decode(ids, options) === joined;
          return right ? undefined : { actual, rest, joined };
        }
        const right = JSON.stringify([actual, rest]) === JSON.stringify([pieces, flush]);
        return right && actual.join('') + rest === text ? undefined : { actual, rest, pieces, flush };
      },
    );
  });

  describe.each([
    'phi-3-mini',
    'phi-3-mini-first-release',
    'phi-3-medium',
    'phi-3-small',
    'phi-3-vision',
    'phi-3.5-mini',
    'phi-3.5-moe',
    'phi-3.5-vision',
  ] as ChatTemplateName[])('chat %s', (member) => {
    const variants = (golden(`chat-${member}`).cases as Recorded[]).flatMap((testCase) =>
      [true, false].map((addGenerationPrompt) => ({
        id: `${testCase.id} ${addGenerationPrompt}`,
        messages: testCase.messages,
        addGenerationPrompt,
        expected: testCase[addGenerationPrompt ? 'with_generation_prompt' : 'without_generation_prompt'],
      })),
    );

    it('renders the text of the published template and fails where that fails', () => {
      expectAll(variants, ({ messages, addGenerationPrompt, expected }) => {
        try {
          const text = renderChat(member, messages, { addGenerationPrompt });
          return text === expected.text ? undefined : { text, expected };
        } catch (error) {
          return expected.error && (error as { code?: string }).code === 'TK_CHAT_MESSAGE' ? undefined : error;
        }
      });
    });

    it('encodes to the ids of the rendered text when content may hold special tokens', () => {
      const tokenizer = loadTokenizer(member);
      const withIds = variants.filter(({ expected }) => expected.ids !== undefined);
      if (golden(`chat-${member}`).cases[0].with_generation_prompt.ids === undefined)
        return expect(withIds).toEqual([]);
      expectAll(withIds, ({ messages, addGenerationPrompt, expected }) => {
        const ids = encodeChat(tokenizer, member, messages, { addGenerationPrompt, parseSpecialTokensInContent: true });
        return same(ids, expected.ids) ? undefined : { got: [...ids], expected: expected.ids };
      });
    });

    it('encodes to the same ids for harmless content, and never lets content yield a special token', () => {
      const tokenizer = loadTokenizer(member);
      const markers = tokenizer.addedTokens.map(({ content }) => content);
      const added = new Set(tokenizer.addedTokens.map(({ id }) => id));
      expectAll(
        variants.filter(({ expected }) => !expected.error),
        ({ messages, addGenerationPrompt, expected }) => {
          const ids = encodeChat(tokenizer, member, messages, { addGenerationPrompt });
          const foreign = messages.map((message: Recorded) => `${message.role} ${message.content}`).join('\n');
          if (!markers.some((marker) => foreign.includes(marker))) {
            const whole = tokenizer.encode(expected.text, { addSpecialTokens: false });
            return same(ids, [...whole]) ? undefined : { got: [...ids], expected: [...whole] };
          }
          // The added tokens that remain are those of the same chat with harmless words in it.
          const harmless = messages.map((message: Recorded) => ({ ...message, content: 'x' }));
          const expectedAdded = encodeChat(tokenizer, member, harmless, { addGenerationPrompt }).filter((id) =>
            added.has(id),
          );
          const actualAdded = ids.filter((id) => added.has(id));
          return same(actualAdded, [...expectedAdded]) ? undefined : { got: [...actualAdded] };
        },
      );
    });

    it('is recognised by its Jinja text', () => {
      const twin = { 'phi-3.5-moe': 'phi-3.5-mini', 'phi-3.5-vision': 'phi-3-vision' }[member as string] ?? member;
      const source = sharedText(member, 'chat_template.jinja');
      expect(detectChatTemplate(source)).toBe(twin);
      expect(detectChatTemplate(source.replaceAll('\n', '\\n'))).toBe(twin);
    });
  });

  it('vision prompts', () => {
    const tokenizer = loadTokenizer('phi-3-vision');
    expectAll<Recorded>(golden('vision-prompt').cases, ({ text, num_img_tokens: counts, segments, total, error }) => {
      try {
        const { ids, imageSpans } = encodeVisionPrompt(tokenizer, text, counts);
        const expected = segments.flatMap((segment: number[] | { image: number; count: number }) =>
          Array.isArray(segment) ? segment : new Array(segment.count).fill(-segment.image),
        );
        const images = segments.filter((segment: unknown) => !Array.isArray(segment));
        const spansFit = imageSpans.every(
          ({ image, count, start }, i) =>
            image === images[i].image && count === images[i].count && ids[start] === -image,
        );
        return same(ids, expected) && ids.length === total && spansFit && imageSpans.length === images.length
          ? undefined
          : { got: [...ids] };
      } catch (thrown) {
        return error && (thrown as { code?: string }).code === 'TK_IMAGE_TAG' ? undefined : thrown;
      }
    });
  });

  it('facts of the published files', () => {
    expect(loadTokenizer('phi-3-mini')).toMatchObject({
      kind: 'sentencepiece-bpe',
      vocabSize: 32011,
      bosTokenId: 1,
      eosTokenId: 32000,
      padTokenId: 32000,
      unknownTokenId: 0,
      warnings: [],
    });
    expect(loadTokenizer('phi-3-vision').vocabSize).toBe(32045);
    expect(loadTokenizer('phi-3-mini').tokenToId('<0x0A>')).toBe(13);
    expect(loadTokenizer('phi-3-mini').idToToken(13)).toBe('<0x0A>');
    expect(loadTokenizer('phi-3-mini').tokenToId('▁the')).toBe(278);
    expect(loadTokenizer('phi-3-mini').idToToken(32011)).toBe(undefined);
    const small = loadTokenizer('phi-3-small');
    const { special_tokens: special, bos_token_id: bos } = JSON.parse(sharedText('phi-3-small', 'special_tokens.json'));
    expect(Object.fromEntries(small.addedTokens.map(({ content, id }) => [content, id]))).toEqual(special);
    expect(small).toMatchObject({ kind: 'tiktoken', vocabSize: 100352, bosTokenId: bos, eosTokenId: 100257 });
    expect(small.tokenToId(' the')).toBe(279);
    expect(small.idToToken(279)).toBe(' the');
  });
});

/**
 * Runs of bytes that are malformed somewhere: a stream has let the valid characters before the fault go, and gives one
 * U+FFFD for every byte after it. (`decode` gives U+FFFD for all bytes of the run.)
 */
function streamedByHand(ids: readonly number[], tokenizer: Tokenizer): string {
  let text = '';
  let run: number[] = [];
  for (const id of [...ids, undefined]) {
    const token = id === undefined ? undefined : tokenizer.idToToken(id)!;
    if (token !== undefined && tokenizer.addedTokens.some(({ content, special }) => special && content === token))
      continue;
    if (token?.startsWith('<0x')) {
      run.push(Number(token.slice(1, 5)));
      continue;
    }
    let valid = run.length;
    while (!isUtf8(run.slice(0, valid))) valid--;
    text += new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(run.slice(0, valid)));
    text += '\ufffd'.repeat(run.length - valid) + (token ?? '').replaceAll('▁', ' ');
    run = [];
  }
  return text.replace(/^ /, '');
}

function isUtf8(bytes: readonly number[]): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes));
    return true;
  } catch {
    return false;
  }
}

describeWithShared('tokenizer of the small trained checkpoint', 'models/stories260k-phi3/tokenizer.json', () => {
  const file = (name: string): string => readFileSync(sharedPath('models', 'stories260k-phi3', name), 'utf8');

  it('encodes and decodes a story', () => {
    const tokenizer = parseTokenizerJson(file('tokenizer.json'), { tokenizerConfig: file('tokenizer_config.json') });
    const { tokens, idOf } = vocabularyOf(file('tokenizer.json'));
    const story = 'Once upon a time, there was a little girl named Lily. She said: "Ça va?"\n';
    const ids = tokenizer.encode(story);
    expect(ids[0]).toBe(1);
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(story);
    // Merging by hand, slowly, gives the same ids.
    const { merges } = JSON.parse(file('tokenizer.json')).model;
    expect([...ids.slice(1)]).toEqual(slowBpe(`▁${story.replaceAll(' ', '▁')}`, idOf, merges));
    expect(tokens.length).toBe(tokenizer.vocabSize);
  });
});

function vocabularyOf(json: string): { tokens: string[]; idOf: Map<string, number> } {
  const idOf = new Map<string, number>(Object.entries(JSON.parse(json).model.vocab));
  return { tokens: [...idOf.keys()], idOf };
}

/** BPE as the paper has it: look for the best pair in the whole word, merge, again. */
function slowBpe(word: string, idOf: Map<string, number>, merges: (string | string[])[]): number[] {
  const ranks = new Map(merges.map((merge, rank) => [Array.isArray(merge) ? merge.join(' ') : merge, rank]));
  let symbols = [...word].flatMap((character) =>
    idOf.has(character)
      ? [character]
      : [...new TextEncoder().encode(character)].map(
          (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
        ),
  );
  for (;;) {
    let best = Number.POSITIVE_INFINITY;
    let at = -1;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const rank = ranks.get(`${symbols[i]} ${symbols[i + 1]}`) ?? Number.POSITIVE_INFINITY;
      if (rank < best) [best, at] = [rank, i];
    }
    if (at < 0) return symbols.map((symbol) => idOf.get(symbol)!);
    symbols = [...symbols.slice(0, at), symbols[at]! + symbols[at + 1]!, ...symbols.slice(at + 2)];
  }
}
