import { createSeededRandom, describeWithShared } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTokenizerJson } from '../src/index.ts';
import { loadTokenizer, sharedText } from './shared-tokenizers.ts';
import { slowBpe, symbolsOf, tinyTokenizerJson } from './tiny-tokenizer.ts';

// The encoder cuts text where no merge can cross and remembers words. The definition does neither: it merges the whole
// piece at once. Both must agree for any vocabulary.
describe('cutting where no merge can cross', () => {
  const alphabet = ['▁', 'a', 'b', '中', '😀', '.'];

  it('gives the ids of the whole piece for random vocabularies, also with ▁ inside tokens', () => {
    const glued = fc.array(fc.tuple(fc.nat(60), fc.nat(60)), { maxLength: 20 });
    const texts = fc.array(
      fc
        .array(fc.constantFrom(' ', ...alphabet, 'x', '\ud800', '\udc00', '\n'), { maxLength: 40 })
        .map((p) => p.join('')),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(glued, texts, (choices, inputs) => {
        const pieces = [...alphabet, '\ufffd'];
        const ranks = new Map<string, number>();
        for (const [first, second] of choices) {
          const left = pieces[first % pieces.length]!;
          const right = pieces[second % pieces.length]!;
          if (ranks.has(`${left} ${right}`)) continue;
          ranks.set(`${left} ${right}`, ranks.size);
          if (!pieces.includes(left + right)) pieces.push(left + right);
        }
        const tokenizer = parseTokenizerJson(tinyTokenizerJson({ merges: [...ranks.keys()], pieces }));
        for (const input of inputs) {
          const whole = input === '' ? '' : `▁${input.replaceAll(' ', '▁')}`;
          const slow = slowBpe(
            symbolsOf(whole, (token) => pieces.includes(token)),
            (left, right) => ranks.get(`${left} ${right}`),
          );
          // Twice: the second time from memory.
          for (let time = 0; time < 2; time++)
            expect(Array.from(tokenizer.encode(input), (id) => tokenizer.idToToken(id))).toEqual(slow);
        }
      }),
      { seed: 3, numRuns: 150 },
    );
  });

  it('stays exact when merges have too many characters for the table', () => {
    const many = Array.from({ length: 2100 }, (_, k) => String.fromCodePoint(0x4e00 + k));
    const pieces = ['▁', 'a', '\ufffd', ...many, 'aa', ...many.map((character) => `a${character}`)];
    const merges = ['a a', ...many.map((character) => `a ${character}`)];
    const tokenizer = parseTokenizerJson(tinyTokenizerJson({ merges, pieces }));
    const tokens = (text: string) => Array.from(tokenizer.encode(text), (id) => tokenizer.idToToken(id));
    expect(tokens('aaa一丁a丂')).toEqual(['▁', 'aa', 'a一', '丁', 'a丂']);
  });

  describeWithShared('Phi-3', 'tokenizers/phi-3-mini/tokenizer.json', () => {
    it('gives the ids of the whole piece on text made of tokens in random order', () => {
      const { vocab, merges }: { vocab: Record<string, number>; merges: string[] } = JSON.parse(
        sharedText('phi-3-mini', 'tokenizer.json'),
      ).model;
      const ranks = new Map(merges.map((merge, rank) => [merge, rank]));
      const idOf = new Map(Object.entries(vocab));
      const tokens = [...idOf.keys()].slice(259);
      const random = createSeededRandom(4);
      const tokenizer = loadTokenizer('phi-3-mini');
      for (let round = 0; round < 60; round++) {
        const text = Array.from({ length: 40 }, () => tokens[random.integer(tokens.length)]!)
          .join('')
          .replaceAll('▁', ' ');
        const slow = slowBpe(
          symbolsOf(`▁${text.replaceAll(' ', '▁')}`, (token) => idOf.has(token)),
          (left, right) => ranks.get(`${left} ${right}`),
        );
        expect([...tokenizer.encode(text)]).toEqual(slow.map((token) => idOf.get(token)));
      }
    });

    it('stays exact when the memory of words overflows', () => {
      const tokenizer = parseTokenizerJson(sharedText('phi-3-mini', 'tokenizer.json'));
      const sample = 'The unforgettable word and another one.';
      const before = [...tokenizer.encode(sample)];
      const random = createSeededRandom(5);
      // More different words than the 65,536 that are remembered.
      const words = Array.from({ length: 90_000 }, () =>
        random
          .integer(2 ** 31)
          .toString(36)
          .replace(/\d/g, 'q'),
      );
      const text = words.join(' ');
      const once = tokenizer.encode(text);
      expect(tokenizer.encode(text)).toEqual(once);
      expect(tokenizer.decode(once)).toBe(text);
      expect([...tokenizer.encode(sample)]).toEqual(before);
    });
  });
});
