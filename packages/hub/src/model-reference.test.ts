import { describe, expect, it } from 'vitest';
import { looksLikeModelReference, parseModelReference } from './model-reference.ts';

describe('parseModelReference', () => {
  it.each([
    ['microsoft/Phi-3-mini-4k-instruct', 'microsoft/Phi-3-mini-4k-instruct', undefined],
    ['a/b:Q4_K_M', 'a/b', 'Q4_K_M'],
    ['a/b:sub/m-q4.gguf', 'a/b', 'sub/m-q4.gguf'],
    ['gpt2', 'gpt2', undefined],
  ])('%s', (text, repository, choice) => {
    expect(parseModelReference(text)).toEqual({ repository, choice });
  });

  it.each(['', 'a/', '/a', 'a//b', 'a b/c', 'a/b:', '.a/b', 'a/b.', 'a..b/c'])('%j is none', (text) => {
    expect(() => parseModelReference(text)).toThrow(/HUB_NAME/);
  });
});

it.each([
  ['microsoft/Phi-3-mini-4k-instruct', true],
  ['a/b:Q4_K_M', true],
  ['./a/b', false],
  ['../a', false],
  ['/a/b', false],
  ['a/b/c', false],
  ['model', false],
  ['models/mini.gguf', false],
  ['a\\b', false],
])('looksLikeModelReference(%j) is %s', (text, expected) => {
  expect(looksLikeModelReference(text)).toBe(expected);
});
