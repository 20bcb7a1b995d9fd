import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scoreAny, scoreOutput } from './score-output.ts';

describe('scoreOutput', () => {
  it('all: counts the references found, whatever their case, and each once', () => {
    expect(scoreOutput('all', 'ABCDE, fghij', ['abcde', 'FGHIJ'])).toBe(1);
    expect(scoreOutput('all', 'abcde abcde', ['abcde', 'fghij'])).toBe(0.5);
    expect(scoreOutput('all', 'x12345678x', ['1234567'])).toBe(1); // a substring, as published
    expect(scoreOutput('all', '', ['a'])).toBe(0);
  });

  it('all: the share of references that were written', () => {
    const words = fc.uniqueArray(fc.stringMatching(/^[a-z]{6}$/), { minLength: 1, maxLength: 10 });
    fc.assert(
      fc.property(words, fc.nat(10), (references, kept) => {
        const written = references.slice(0, kept);
        expect(scoreOutput('all', written.join(', ').toUpperCase(), references)).toBeCloseTo(
          written.length / references.length,
          12,
        );
      }),
      { seed: 1, numRuns: 100 },
    );
  });

  it('first-integer: the first whole number must be the reference', () => {
    const score = (output: string) => scoreOutput('first-integer', output, ['4711']);
    expect(score(' 4711.')).toBe(1);
    expect(score('is 4711 and not 12')).toBe(1);
    expect(score('12 or 4711')).toBe(0);
    expect(score('47 11')).toBe(0);
    expect(score('471')).toBe(0);
    expect(score('47110')).toBe(0);
    expect(score('04711')).toBe(1);
    expect(score('none')).toBe(0);
    expect(scoreOutput('first-integer', '0', ['0'])).toBe(1);
  });
});

describe('scoreAny', () => {
  it('is 1 when any reference is there', () => {
    expect(scoreAny('In PARIS.', ['Lyon', 'Paris'])).toBe(1);
    expect(scoreAny('In Rome.', ['Lyon', 'Paris'])).toBe(0);
  });
});
