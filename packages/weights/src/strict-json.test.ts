import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type JsonValue, parseStrictJson, parseStrictJsonMembers } from './strict-json.ts';

const codes = { utf8: 'UTF8', syntax: 'SYNTAX', depth: 'DEPTH', duplicate: 'DUPLICATE', limit: 'LIMIT' };
const options = { function: 'read', file: 'x.json', maxDepth: 50, codes };
const parseBytes = (bytes: Uint8Array, more = {}) => parseStrictJson(bytes, { ...options, ...more });
const parse = (text: string, more = {}) => parseBytes(new TextEncoder().encode(text), more);

/** The definition: what JSON.parse makes of it, with objects as lists of pairs so that any key can be compared. */
function asPairs(value: unknown): unknown {
  if (value instanceof Map) return { pairs: [...value].map(([key, member]) => [key, asPairs(member)]) };
  if (Array.isArray(value)) return value.map(asPairs);
  if (typeof value === 'object' && value !== null) {
    return { pairs: Object.entries(value).map(([key, member]) => [key, asPairs(member)]) };
  }
  return value;
}

describe('parseStrictJson', () => {
  it('reads by hand', () => {
    const value = parse(
      ' {"a": [1, -2.5e1, true, false, null], "é\\u00e9\\ud83d\\ude00": "\\"\\\\\\/\\b\\f\\n\\r\\t"} ',
    );
    expect(value).toEqual(
      new Map<string, JsonValue>([
        ['a', [1, -25, true, false, null]],
        ['éé😀', '"\\/\b\f\n\r\t'],
      ]),
    );
    expect(parse('"\ufeffa"')).toBe('\ufeffa');
    expect(Object.is(parse('-0'), -0)).toBe(true);
  });

  it('agrees with JSON.parse on whatever JSON.stringify writes', () => {
    // Keys such as "1" are moved to the front by objects, which lists of pairs would show; letters only keep the order.
    const key = fc.string({ unit: fc.constantFrom('a', 'b', '"', '\\', 'é', '😀', '\u2028') });
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        fc.constant(null),
        fc.boolean(),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.string({ unit: 'grapheme' }),
        fc.array(tie('tree')),
        fc.dictionary(key, tie('tree')),
      ),
    }));
    fc.assert(
      fc.property(tree, fc.constantFrom(0, 2), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(asPairs(parse(text))).toEqual(asPairs(JSON.parse(text)));
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it('accepts no text that JSON.parse rejects, and throws nothing but its own errors', () => {
    const piece = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      'a',
      '\\',
      '\\u00',
      '0',
      '1',
      '-',
      '.',
      'e',
      '+',
      ' ',
      'true',
      'null',
      '\n',
      '\u0001',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('');
        let value: unknown;
        try {
          value = parse(text);
        } catch (error) {
          expect(error).toMatchObject({ name: 'Phi3Error' });
          return;
        }
        expect(asPairs(value)).toEqual(asPairs(JSON.parse(text)));
      }),
      { seed: 2, numRuns: 3000 },
    );
  });

  it('rejects what is not JSON, with offset and line', () => {
    for (const text of [
      '',
      ' ',
      '{',
      '[1,]',
      '{"a":1,}',
      '{a:1}',
      "{'a':1}",
      '01',
      '1.',
      '.5',
      '+1',
      '-',
      '1e',
      'NaN',
      'Infinity',
      'tru',
      '"a',
      '"\n"',
      '"\\x"',
      '"\\u12g4"',
      '[1] 2',
      '{"a" 1}',
      '\ufeff{}',
      '{} //',
    ]) {
      expect(() => parse(text), JSON.stringify(text)).toThrow(/^SYNTAX read: expected/);
    }
    expect(() => parse('{\n "a": 1,\n "b": x}')).toThrow(
      "SYNTAX read: expected a value, got 'x' (file x.json, line 3, offset 17)",
    );
    expect(() => parse('[1', { startOffset: 8 })).toThrow(
      /got 'the end of the text' \(file x\.json, line 1, offset 10\)/,
    );
  });

  it('rejects surrogate escapes that are no pair', () => {
    for (const text of ['"\\ud800"', '"\\udc00"', '"\\ud800\\u0041"', '"\\ud800\\ud800"', '"\\ud800x"']) {
      expect(() => parse(text), text).toThrow(/^SYNTAX read: expected surrogate escapes in pairs/);
    }
  });

  it('rejects bytes that are not UTF-8 where TextDecoder does, and says where', () => {
    const byte = fc.oneof(
      fc.constantFrom(0x22, 0x41, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0x80, 0x90, 0xa0, 0xbf),
      fc.nat(255),
    );
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 8 }), (inner) => {
        const bytes = Uint8Array.of(0x22, ...inner, 0x22);
        let isUtf8 = true;
        try {
          new TextDecoder('utf-8', { fatal: true }).decode(bytes);
        } catch {
          isUtf8 = false;
        }
        let code = '';
        try {
          parseBytes(bytes);
        } catch (error) {
          code = (error as { code: string }).code;
        }
        expect(code !== 'UTF8').toBe(isUtf8);
      }),
      { seed: 3, numRuns: 3000 },
    );
    const cut = Uint8Array.of(0x22, 0x61, 0xe2, 0x82, 0x22);
    expect(() => parseBytes(cut)).toThrow(
      "UTF8 read: expected text in UTF-8, got 'byte 0xe2' (file x.json, line 1, offset 2)",
    );
  });

  it('rejects keys that are equal once their escapes are read', () => {
    expect(() => parse('{"a":1,"b":{"c":1,"\\u0063":2}}')).toThrow(
      /^DUPLICATE read: expected every key once, got 'c' .*key c\)$/,
    );
    expect(parse('{"__proto__":1,"a":{"__proto__":2}}')).toEqual(
      new Map<string, JsonValue>([
        ['__proto__', 1],
        ['a', new Map([['__proto__', 2]])],
      ]),
    );
  });

  it('limits depth, the number of values and the size of numbers', () => {
    expect(parse('[[[]]]', { maxDepth: 3 })).toEqual([[[]]]);
    expect(() => parse('[[[]]]', { maxDepth: 2 })).toThrow(/^DEPTH read: expected at most 2 levels/);
    expect(() => parse('['.repeat(5_000_000))).toThrow(/^DEPTH/);
    expect(() => parse('[1,2,3]', { maxValues: 3 })).toThrow(/^LIMIT read: expected at most 3 values/);
    expect(() => parse('[1e400]')).toThrow(/^SYNTAX read: expected a number that float64 can hold, got '1e400'/);
    expect(() => parse('-1e400')).toThrow(/^SYNTAX/);
    expect(parse('1e-400')).toBe(0);
  });
});

describe('parseStrictJsonMembers', () => {
  const visited: [string, JsonValue][] = [];
  const read = (text: string): JsonValue => {
    visited.length = 0;
    return parseStrictJsonMembers(new TextEncoder().encode(text), options, {
      maxValuesOf: (key) => (key === 'long' ? 4 : 2),
      visit: (key, value) => void visited.push([key, value]),
    });
  };

  it('hands over the members of the outermost object in order, and those of inner objects within them', () => {
    expect(read('{"a":1,"long":{"a":{"a":2}},"b":[3]}')).toEqual(new Map());
    expect(visited).toEqual([
      ['a', 1],
      ['long', new Map([['a', new Map([['a', 2]])]])],
      ['b', [3]],
    ]);
    expect(read('[1]')).toEqual([1]);
    expect(visited).toEqual([]);
  });

  it('limits the values of each member by its own number, and the rest by a fixed one', () => {
    expect(() => read('{"a":[1],"b":[1,2]}')).toThrow(/^LIMIT read: expected at most 2 values/);
    expect(visited).toEqual([['a', [1]]]);
    expect(() => read('{"long":[1,2,3,4]}')).toThrow(/^LIMIT/);
    expect(() => read(`[${'1,'.repeat(100)}1]`)).toThrow(/^LIMIT read: expected at most 64 values/);
  });

  it('rejects a key that came before, whether or not its value was kept', () => {
    expect(() => read('{"a":1,"b":2,"\\u0061":3}')).toThrow(/^DUPLICATE/);
    expect(visited.map(([key]) => key)).toEqual(['a', 'b']);
  });
});
