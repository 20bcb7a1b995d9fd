import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createStopStringFilter } from './stop-strings.ts';

describe('createStopStringFilter', () => {
  it('cuts at the first stop string, however the text is divided', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 24 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 }), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(fc.array(letters, { maxLength: 6 }), stops, (pieces, stop) => {
        const filter = createStopStringFilter(stop);
        let shown = '';
        let stopped = false;
        for (const piece of pieces) {
          const result = filter.push(piece);
          shown += result.text;
          stopped = result.stopped;
          if (stopped) break;
        }
        if (!stopped) shown += filter.flush();
        // The definition: of all ways in which a growing text first contains a stop string, the text before the first one.
        let expected = pieces.join('');
        for (let end = 1; end <= expected.length; end++) {
          const found = stop.filter((candidate) => expected.slice(0, end).endsWith(candidate));
          if (found.length > 0) {
            expected = expected.slice(0, end - Math.max(...found.map((candidate) => candidate.length)));
            break;
          }
        }
        // Pieces that hold several stop strings at once are cut at the leftmost one.
        expect(pieces.join('').startsWith(shown)).toBe(true);
        if (pieces.every((piece) => piece.length <= 1)) expect(shown).toBe(expected);
        for (const candidate of stop) expect(shown.includes(candidate)).toBe(false);
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  it('holds back no more than it must', () => {
    const filter = createStopStringFilter(['</end>']);
    expect(filter.push('one </').text).toBe('one ');
    expect(filter.push('x').text).toBe('</x');
  });
});
