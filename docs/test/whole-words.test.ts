import { expect, it } from 'vitest';
import { partsOfText, withUnbreakableUnits, wordsOfCode } from '../.vitepress/build/whole-words.ts';

it.each([
  ['took 275 ms, then 1.5 s.', 'took 275_ms, then 1.5_s.'],
  ['90 % of 2 GB at 25.3 GB/s', '90_% of 2_GB at 25.3_GB/s'],
  ['W + 1, 38 + 47, 4,096 × 256 × 1,024', 'W_+_1, 38_+_47, 4,096_×_256_×_1,024'],
  ['4 bits, 2 GBit, 4.5 to 1', '4_bits, 2 GBit, 4.5_to_1'],
  ['[arXiv] §4.1 and §5', '[arXiv]_§4.1 and_§5'],
  ['0.4 million tokens with Node 20', '0.4_million_tokens with Node_20'],
])('numbers keep their units: %s', (text, expected) => {
  expect(withUnbreakableUnits(text).replaceAll('\u00a0', '_')).toBe(expected);
});

it.each([
  ['Phi-3-mini-4k and nano-mini beside node-llama-cpp', ['Phi-3-mini-4k', 'nano-mini', 'node-llama-cpp']],
  ['On 2026-11-21 the error was 3.42e-5, PF-01.', ['2026-11-21', '3.42e-5', 'PF-01']],
  ['a Content-Security-Policy, in UTF-8 or UTF-16', ['Content-Security-Policy', 'UTF-8', 'UTF-16']],
  ['feed-forward, key-value and word-by-word', []],
])('names keep their hyphens: %s', (text, whole) => {
  const parts = partsOfText(text);
  expect(parts.map((part) => part.text).join('')).toBe(text);
  expect(parts.filter(({ isWhole }) => isWhole).map((part) => part.text)).toEqual(whole);
});

it.each([
  ['npx --yes phiblocks --model nano-mini', ['npx ', '--yes ', 'phiblocks ', '--model ', 'nano-mini']],
  [
    'packages/runtime/test/browser-not-isolated/worker.test.ts',
    ['packages/', 'runtime/', 'test/', 'browser-not-isolated/', 'worker.test.ts'],
  ],
  [
    '[groupedQueryAttention](api:gqa/groupedQueryAttention)',
    ['[groupedQueryAttention](', 'api:gqa/', 'groupedQueryAttention)'],
  ],
  ['createTokenizerOfVocabulary(vocabulary,options)', ['createTokenizerOfVocabulary(', 'vocabulary,', 'options)']],
])('long code breaks between words: %s', (code, words) => {
  expect(wordsOfCode(code)).toEqual(words);
});
