import { describeWithShared } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ChatTemplateName, encodeChat, renderChat, type Tokenizer } from '../src/index.ts';
import { loadTokenizer } from './shared-tokenizers.ts';

const wellFormed = (text: string): string => text.replace(/\p{Surrogate}/gu, '\ufffd');

const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc
    .array(
      fc.constantFrom(
        'Hello',
        ' world',
        ' ',
        '\n',
        '▁',
        'ä',
        '中',
        '😀',
        '\ud800',
        '<|end|>',
        '<|user|>',
        '</s>',
        '<0x0A>',
        '12',
        '\u0085',
      ),
      { maxLength: 20 },
    )
    .map((parts) => parts.join('')),
);

describe.each(['phi-3-mini', 'phi-3-mini-first-release', 'phi-3-vision', 'phi-3-small'])('laws, %s', (member) => {
  describeWithShared(member, `tokenizers/${member}`, () => {
    const plain = { addSpecialTokens: false, parseSpecialTokens: false };
    const streamed = (tokenizer: Tokenizer, ids: ArrayLike<number>, skipSpecialTokens: boolean): string => {
      const stream = tokenizer.createStreamDecoder({ skipSpecialTokens });
      return Array.from(ids, (id) => stream.push(id)).join('') + stream.flush();
    };

    it('decoding undoes encoding: plain text comes back, with U+FFFD for half pairs and a space for U+2581', () => {
      const tokenizer = loadTokenizer(member);
      const shown = (text: string): string =>
        tokenizer.kind === 'tiktoken' ? wellFormed(text) : wellFormed(text).replaceAll('▁', ' ');
      fc.assert(
        fc.property(anyText, (text) => {
          expect(tokenizer.decode(tokenizer.encode(text, plain))).toBe(shown(text));
        }),
        { seed: 7, numRuns: 500 },
      );
    });

    it('ids are in range and never special where special tokens are off', () => {
      const tokenizer = loadTokenizer(member);
      const added = new Set(tokenizer.addedTokens.map(({ id }) => id));
      fc.assert(
        fc.property(anyText, (text) => {
          for (const id of tokenizer.encode(text, plain)) {
            expect(id).toBeLessThan(tokenizer.vocabSize);
            expect(added.has(id)).toBe(false);
          }
        }),
        { seed: 8, numRuns: 300 },
      );
    });

    it('the stream gives the whole text, and no piece of it ends in half a character', () => {
      const tokenizer = loadTokenizer(member);
      fc.assert(
        fc.property(anyText, fc.boolean(), (text, skip) => {
          const ids = tokenizer.encode(text);
          expect(streamed(tokenizer, ids, skip)).toBe(tokenizer.decode(ids, { skipSpecialTokens: skip }));
          const stream = tokenizer.createStreamDecoder({ skipSpecialTokens: skip });
          for (const id of ids) expect(stream.push(id)).not.toMatch(/\p{Surrogate}/u);
          expect(stream.flush()).toBe('');
        }),
        { seed: 9, numRuns: 300 },
      );
    });

    it('a stream cut short withholds the unfinished character and flushes it as U+FFFD', () => {
      const tokenizer = loadTokenizer(member);
      const ids = tokenizer.encode('🏺', { addSpecialTokens: false });
      expect(ids.length).toBeGreaterThan(1);
      const stream = tokenizer.createStreamDecoder();
      const pieces = Array.from(ids.subarray(0, -1), (id) => stream.push(id)).join('');
      expect(pieces).toBe('');
      expect(stream.flush()).toMatch(/^\ufffd+$/);
      // Flushed, it starts afresh.
      expect(streamed(tokenizer, ids, false)).toBe('🏺');
    });

    it('text after an added token does not depend on the text before it', () => {
      const tokenizer = loadTokenizer(member);
      fc.assert(
        fc.property(anyText, anyText, (before, after) => {
          const whole = [...tokenizer.encode(`${before}<|end|>${after}`, { addSpecialTokens: false })];
          const first = [...tokenizer.encode(`${before}<|end|>`, { addSpecialTokens: false })];
          const second = [...tokenizer.encode(`<|end|>${after}`, { addSpecialTokens: false })];
          expect(whole).toEqual([...first, ...second.slice(1)]);
        }),
        { seed: 10, numRuns: 300 },
      );
    });

    it('literal ranges over everything turn special tokens off, over nothing change nothing', () => {
      const tokenizer = loadTokenizer(member);
      fc.assert(
        fc.property(anyText, (text) => {
          expect(tokenizer.encode(text, { literalRanges: [[0, text.length]] })).toEqual(
            tokenizer.encode(text, { parseSpecialTokens: false }),
          );
          expect(tokenizer.encode(text, { literalRanges: [[0, 0]] })).toEqual(tokenizer.encode(text));
        }),
        { seed: 11, numRuns: 300 },
      );
    });

    it('a chat of harmless messages has the ids of its text, white space at every edge included', () => {
      const tokenizer = loadTokenizer(member);
      const template = member as ChatTemplateName;
      const edge = fc.constantFrom('', ' ', '\n', '\r\n', '\t ', '\u0085', '\ufeff', '▁', '\ud800', '<', '|>', '<|end');
      const content = fc
        .tuple(edge, fc.string({ unit: 'binary', maxLength: 10 }), edge)
        .map((parts) => parts.join(''))
        .filter((text) => !text.includes('<|end|>'));
      const role = fc.constantFrom('system', 'user', 'assistant', 'tool');
      fc.assert(
        fc.property(fc.array(fc.record({ role, content }), { maxLength: 4 }), fc.boolean(), (messages, prompt) => {
          const options = { addGenerationPrompt: prompt && messages.length > 0 };
          const text = renderChat(template, messages, options);
          expect(encodeChat(tokenizer, template, messages, options)).toEqual(
            tokenizer.encode(text, { addSpecialTokens: false }),
          );
        }),
        { seed: 12, numRuns: 300 },
      );
    });

    it('encodeAsync gives the same ids over several chunks and stops when the signal fires', async () => {
      const tokenizer = loadTokenizer(member);
      const text = 'Hello world, <|end|> 12 中\n'.repeat(25_000); // some 650,000 code units, three chunks
      expect(await tokenizer.encodeAsync(text)).toEqual(tokenizer.encode(text));
      await expect(tokenizer.encodeAsync(text, { signal: AbortSignal.abort() })).rejects.toMatchObject({
        code: 'ABORTED',
      });
      const controller = new AbortController();
      const running = tokenizer.encodeAsync(text, { signal: controller.signal });
      controller.abort();
      await expect(running).rejects.toMatchObject({ code: 'ABORTED' });
    });
  });
});
