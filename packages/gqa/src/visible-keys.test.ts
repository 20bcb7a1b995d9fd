import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { firstVisibleKey } from './visible-keys.ts';

describe('firstVisibleKey', () => {
  it('is the lowest j that the inequality of the bound allows', () => {
    fc.assert(
      fc.property(fc.nat(100), fc.integer({ min: 1, max: 120 }), (i, W) => {
        const keys = Array.from({ length: i + 1 }, (_, j) => j);
        expect(firstVisibleKey(i, { slidingWindow: W })).toBe(keys.find((j) => i - W < j));
        expect(firstVisibleKey(i, { slidingWindow: W, windowBound: 'inclusive' })).toBe(keys.find((j) => i - W <= j));
      }),
      { seed: 8, numRuns: 200 },
    );
  });

  it('mini-4k: 2047 keys with the exclusive bound, 2048 with the inclusive one', () => {
    expect(3000 - firstVisibleKey(3000, { slidingWindow: 2047 }) + 1).toBe(2047);
    expect(3000 - firstVisibleKey(3000, { slidingWindow: 2047, windowBound: 'inclusive' }) + 1).toBe(2048);
  });

  it('without a window it is the first key of all', () => {
    expect(firstVisibleKey(1000)).toBe(0);
    expect(firstVisibleKey(1000, { windowBound: 'inclusive' })).toBe(0);
  });

  it('rejects positions and windows that are none', () => {
    const code = (argument: string) => expect.objectContaining({ code: 'ARGUMENT', argument });
    for (const position of [-1, 0.5, Number.NaN]) expect(() => firstVisibleKey(position)).toThrow(code('position'));
    expect(() => firstVisibleKey(1, { slidingWindow: 0 })).toThrow(code('options.slidingWindow'));
    expect(() => firstVisibleKey(1, { slidingWindow: 2, windowBound: 'open' as never })).toThrow(
      code('options.windowBound'),
    );
  });
});
