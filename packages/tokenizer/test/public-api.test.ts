import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import * as api from '../src/index.ts';

const source = fileURLToPath(new URL('../src', import.meta.url));
const files = readdirSync(source).filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'));

describe('the package', () => {
  it('exports what it documents', () => {
    expect(Object.keys(api).sort()).toEqual([
      'createGgufTokenizer',
      'createPhi3SmallTokenizer',
      'detectChatTemplate',
      'encodeChat',
      'encodeVisionPrompt',
      'parseTiktoken',
      'parseTokenizerJson',
      'renderChat',
      'renderChatParts',
      'stopTokenIds',
      'tokenizerErrorCodes',
      'tokenizerWarningCodes',
    ]);
  });

  it('brings no vocabulary: all of its source is small', () => {
    const size = files.reduce((sum, file) => sum + readFileSync(`${source}/${file}`).length, 0);
    expect(size).toBeLessThan(160_000);
  });

  it('imports nothing but errors, and runs no pattern that comes from outside', () => {
    for (const file of files) {
      const text = readFileSync(`${source}/${file}`, 'utf8');
      for (const [, from] of text.matchAll(/from '([^']+)'/g))
        expect(from).toMatch(/^(\.\/[\w-]+\.ts|@phiblocks\/tensor)$/);
      // Every regular expression is a literal of our own.
      expect(text, file).not.toMatch(/\bRegExp\b|\beval\b|new Function/);
    }
  });

  it('explains every code that it throws', () => {
    const thrown = files.flatMap((file) => [...readFileSync(`${source}/${file}`, 'utf8').matchAll(/'(TK_[A-Z_]+)'/g)]);
    const warnings = ['TK_FLAGS_DISAGREE', 'TK_IGNORED', 'TK_RULES_UNKNOWN'];
    const codes = new Set(thrown.map(([, code]) => code!).filter((code) => !warnings.includes(code)));
    expect([...codes].sort()).toEqual(Object.keys(api.tokenizerErrorCodes).sort());
  });
});
