import { describe, expect, it } from 'vitest';
import { ArgumentError, expectKnownOptions, isPhi3Error, Phi3Error, printable, ShapeError } from './index.ts';

describe('Phi3Error', () => {
  it('says code, function, argument, expected, got, place and remedy on one line', () => {
    const error = new Phi3Error({
      code: 'ST_TRUNCATED',
      function: 'openSafetensors',
      argument: 'source',
      expected: 'at least 8 bytes',
      got: 3,
      where: { file: 'model.safetensors', offset: 0, tensor: 'a\nb' },
      hint: 'Download it again.',
    });
    expect(error.message).toBe(
      'ST_TRUNCATED openSafetensors(source): expected at least 8 bytes, got 3 ' +
        '(file model.safetensors, offset 0, tensor a\\u000ab). Download it again.',
    );
    expect(error).toMatchObject({ code: 'ST_TRUNCATED', function: 'openSafetensors', got: 3, retryable: false });
    expect(error.where.offset).toBe(0);
  });

  it('keeps its cause', () => {
    const cause = new Error('disk');
    expect(new Phi3Error({ code: 'X', function: 'f', cause }).cause).toBe(cause);
  });

  it('is recognised across copies by its brand, not by its class', () => {
    const foreign = Object.assign(new Error('from another copy'), {
      [Symbol.for('phiblocks.error')]: true,
      code: 'SHAPE',
    });
    expect(isPhi3Error(foreign)).toBe(true);
    expect(isPhi3Error(foreign, 'SHAPE')).toBe(true);
    expect(isPhi3Error(foreign, 'OTHER')).toBe(false);
    expect(isPhi3Error(null)).toBe(false);
    expect(isPhi3Error('text')).toBe(false);
  });

  it('has subclasses with fixed codes', () => {
    expect(new ShapeError({ function: 'f' }).code).toBe('SHAPE');
    expect(new ArgumentError({ function: 'f' }).code).toBe('ARGUMENT');
  });

  it('shortens and escapes what it shows', () => {
    const message = new Phi3Error({ code: 'X', function: 'f', expected: 'less', got: [1, '\u001b[31m', {}, () => 0] })
      .message;
    expect(message).toBe("X f: expected less, got [1, '\\u001b[31m', an object, a function]");
    expect(printable('x'.repeat(200))).toHaveLength(81);
    expect(printable('a\u202eb\u2028')).toBe('a\\u202eb\\u2028');
  });
});

describe('expectKnownOptions', () => {
  it('accepts known names and rejects a misspelt one', () => {
    expectKnownOptions('sample', { topP: 1 }, ['topP']);
    expect(() => expectKnownOptions('sample', { top_p: 1 }, ['topP'])).toThrow(
      "OPTION_UNKNOWN sample(top_p): expected one of topP, got 'top_p'",
    );
  });

  it('does not take inherited names for known ones', () => {
    expect(() => expectKnownOptions('sample', { toString: 1 }, ['topP'])).toThrow(/OPTION_UNKNOWN/);
  });
});
