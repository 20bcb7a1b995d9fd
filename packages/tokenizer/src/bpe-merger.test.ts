import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { slowBpe } from '../test/tiny-tokenizer.ts';
import { BpeMerger } from './bpe-merger.ts';
import { IdBuffer } from './id-buffer.ts';
import { PairTable } from './pair-table.ts';

// Tokens are strings over a small alphabet; merges glue two of them. Priorities repeat, as GGUF scores may.
function build(glued: readonly [number, number, number][]) {
  const tokens = ['a', 'b', 'c'];
  const priorityOf = new Map<string, number>();
  const list: number[] = [];
  for (const [first, second, priority] of glued) {
    const left = first % tokens.length;
    const right = second % tokens.length;
    const key = `${tokens[left]} ${tokens[right]}`;
    if (priorityOf.has(key) || tokens[left]!.length + tokens[right]!.length > 12) continue;
    const result = `${tokens[left]}${tokens[right]}`;
    let id = tokens.indexOf(result);
    if (id < 0) id = tokens.push(result) - 1;
    priorityOf.set(key, priority);
    list.push(left, right, priority, id);
  }
  const merger = new BpeMerger(new PairTable('test', Int32Array.from(list)));
  const merge = (word: string): string[] => {
    const out = new IdBuffer();
    merger.start();
    for (const character of word) merger.add('abc'.indexOf(character));
    merger.finish(out);
    return Array.from(out.toArray(), (id) => tokens[id]!);
  };
  return { merge, slow: (word: string) => slowBpe([...word], (left, right) => priorityOf.get(`${left} ${right}`)) };
}

describe('BpeMerger', () => {
  it('merges a word by hand: the lowest priority first, the leftmost of equals', () => {
    const { merge } = build([
      [0, 0, 5], // aa
      [0, 1, 1], // ab
      [3, 3, 9], // aaaa
    ]);
    expect(merge('aaab')).toEqual(['aa', 'ab']);
    expect(merge('aaaa')).toEqual(['aaaa']);
    expect(merge('aaa')).toEqual(['aa', 'a']);
    expect(merge('')).toEqual([]);
    expect(merge('a')).toEqual(['a']);
  });

  it('equals the definition for random merges, words short and long', () => {
    const glued = fc.array(fc.tuple(fc.nat(40), fc.nat(40), fc.nat(12)), { maxLength: 25 });
    const words = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 120 }), { maxLength: 6 });
    fc.assert(
      fc.property(glued, words, (choices, texts) => {
        const { merge, slow } = build(choices);
        for (const text of texts) expect(merge(text)).toEqual(slow(text));
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it('rejects the same pair twice', () => {
    const list = Int32Array.from([0, 1, 0, 2, 0, 1, 1, 2]);
    expect(() => new PairTable('test', list)).toThrow(expect.objectContaining({ code: 'TK_MERGE' }));
  });
});
