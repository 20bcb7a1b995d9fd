import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Cl100kSplitter, cl100kPattern } from './cl100k-splitter.ts';

// The published pattern with what JavaScript reads differently written out: \s is White_Space in the reference, which has
// U+0085 and lacks U+FEFF, and (?i:s) folds U+017F.
const s = '\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const definition = new RegExp(
  `'(?:[sS\\u017f]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|` +
    ` ?[^${s}\\p{L}\\p{N}]+[\\r\\n]*|[${s}]*[\\r\\n]+|[${s}]+(?![^${s}])|[${s}]+`,
  'gu',
);

function split(text: string): string[] {
  const splitter = new Cl100kSplitter();
  const parts: string[] = [];
  for (let at = 0; at < text.length; ) {
    const next = splitter.next(text, at, text.length);
    expect(next).toBeGreaterThan(at);
    parts.push(text.slice(at, next));
    at = next;
  }
  return parts;
}

describe('Cl100kSplitter', () => {
  it('splits by hand', () => {
    expect(split("I'Ll say  'hello' 12345\r\n\n  x")).toEqual([
      'I',
      "'Ll",
      ' say',
      ' ',
      " '",
      'hello',
      "'",
      ' ',
      '123',
      '45',
      '\r\n\n',
      ' ',
      ' x',
    ]);
    expect(split('a \t\n \t b')).toEqual(['a', ' \t\n', ' \t', ' b']);
    expect(split('  ')).toEqual(['  ']);
    expect(split("'ſx")).toEqual(["'ſ", 'x']);
    expect(split('\u0085\u0085a\ufeff')).toEqual(['\u0085', '\u0085a', '\ufeff']);
  });

  it('equals the published pattern on random text', () => {
    const tricky = fc.constantFrom(
      ...`aAzZsStTrReEvVmMlLdD''''09 \t\n\r\v.,!-_é中ßſK²½٣Ⅷ\u0085\u00a0\u1680\u2003\u2028\u3000\ufeff\u200b\u180e`,
      '𝕜',
      '😀',
      '𝟗',
      '\ud800',
      '\udc00',
      '   ',
      '\r\n',
    );
    const text = fc.oneof(
      fc.array(tricky, { maxLength: 60 }).map((parts) => parts.join('')),
      fc.string({ unit: 'binary', maxLength: 60 }),
    );
    fc.assert(
      fc.property(text, (input) => {
        expect(split(input)).toEqual(Array.from(input.match(definition) ?? []));
      }),
      { seed: 2, numRuns: 3000 },
    );
  });

  it('holds the published pattern to compare with', () => {
    expect(cl100kPattern).toMatch(/^\(\?i:'s\|'t\|/);
  });
});
