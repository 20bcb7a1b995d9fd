import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ntkFactors,
  plainFactors,
  positionInterpolationFactors,
  rescaleFactors,
  yarnFactors,
  yarnLikeFactors,
} from './closed-form-factors.ts';

const mini = { headDim: 96, ropeTheta: 10000, originalMaxPositionEmbeddings: 4096, targetLength: 131072 };
const all = { plainFactors, positionInterpolationFactors, ntkFactors, yarnFactors, yarnLikeFactors };

const extensions = fc
  .record({
    headDim: fc.integer({ min: 2, max: 64 }).map((half) => 2 * half),
    ropeTheta: fc.integer({ min: 100, max: 1_000_000 }),
    originalMaxPositionEmbeddings: fc.integer({ min: 16, max: 8192 }),
    factor: fc.integer({ min: 2, max: 64 }),
  })
  .map(({ factor, ...rest }) => ({ ...rest, targetLength: rest.originalMaxPositionEmbeddings * factor }));

describe('closed-form factors', () => {
  it('plain is 1 and position interpolation s everywhere', () => {
    expect(plainFactors(mini)).toEqual(new Array(48).fill(1));
    expect(positionInterpolationFactors(mini)).toEqual(new Array(48).fill(32));
  });

  it('NTK is plain RoPE with the base theta · s^(R/(R-2))', () => {
    const base = 10000 * 32 ** (96 / 94);
    for (const [i, factor] of ntkFactors(mini).entries()) {
      // Both sides are powers in float64 of numbers up to 10^6: a few units in the last place.
      const ratio = base ** ((2 * i) / 96) / 10000 ** ((2 * i) / 96);
      expect(Math.abs(factor / ratio - 1)).toBeLessThan(1e-13);
    }
  });

  it('YaRN keeps pairs that turn more than 32 times in L0 tokens and interpolates those that turn less than once', () => {
    const factors = yarnFactors(mini);
    for (const [i, factor] of factors.entries()) {
      const turns = 4096 / (2 * Math.PI * 10000 ** ((2 * i) / 96));
      // The ramp begins and ends at whole pairs: one pair of room at either end.
      if (turns > 32 * 10000 ** (2 / 96)) expect(factor).toBe(1);
      if (turns < 1 / 10000 ** (2 / 96)) expect(factor).toBeCloseTo(32, 10);
    }
    expect(factors.filter((factor) => factor > 1 && factor < 31.99).length).toBeGreaterThan(10);
  });

  it('by hand: R = 8, theta = 10000, L0 = 4096: the ramp goes from pair 1 to pair 3', () => {
    // dim(32) = 1.309 and dim(1) = 2.814, so low = 1, high = 3 and the mask is 1, 1, 0.5, 0.
    const small = { headDim: 8, ropeTheta: 10000, originalMaxPositionEmbeddings: 4096, targetLength: 32768 };
    expect(yarnLikeFactors(small)).toEqual([1, 1, 4.5, 8]);
    expect(yarnFactors(small).map((factor) => 1 / factor)).toEqual([1, 1, 0.5 / 8 + 0.5, 1 / 8]);
    // Mistral's turns: dim(128) = 0.707, dim(2) = 2.513.
    expect(yarnLikeFactors({ ...small, betaFast: 128, betaSlow: 2 })).toEqual(
      [1, 8 / 3 + 2 / 3, 16 / 3 + 1 / 3, 8].map((value) => expect.closeTo(value, 12)),
    );
  });

  it('every method gives R/2 factors from 1 to s that do not fall', () => {
    fc.assert(
      fc.property(extensions, (extension) => {
        const scale = extension.targetLength / extension.originalMaxPositionEmbeddings;
        for (const [name, method] of Object.entries(all)) {
          const factors = method(extension);
          expect(factors.length, name).toBe(extension.headDim / 2);
          for (const [i, factor] of factors.entries()) {
            // Room for one rounding of each power or quotient.
            expect(factor, name).toBeGreaterThanOrEqual(1 - 1e-14);
            expect(factor, name).toBeLessThanOrEqual(scale * (1 + 1e-14));
            if (i > 0) expect(factor, name).toBeGreaterThanOrEqual(factors[i - 1]! * (1 - 1e-14));
          }
        }
      }),
      { seed: 1, numRuns: 100 },
    );
  });

  it('partial rotation counts the pairs that rotate', () => {
    expect(plainFactors({ ...mini, headDim: 128, partialRotaryFactor: 0.75 }).length).toBe(48);
  });

  it('rescaling goes there and back, and to 1 at scale 1', () => {
    const factors = yarnLikeFactors(mini);
    const back = rescaleFactors(rescaleFactors(factors, 32, 7), 7, 32);
    expect(back).toEqual(factors.map((factor) => expect.closeTo(factor, 10)));
    expect(rescaleFactors(factors, 32, 1)).toEqual(new Array(48).fill(1));
  });

  it('rejects extensions that are none, with the name of the field', () => {
    const cases: [Record<string, unknown>, string][] = [
      [{ headDim: 3 }, 'extension.headDim'],
      [{ headDim: 7 }, 'extension.headDim'],
      [{ headDim: Number.NaN }, 'extension.headDim'],
      [{ partialRotaryFactor: 0 }, 'extension.partialRotaryFactor'],
      [{ partialRotaryFactor: 1.5 }, 'extension.partialRotaryFactor'],
      [{ ropeTheta: 1 }, 'extension.ropeTheta'],
      [{ ropeTheta: Number.POSITIVE_INFINITY }, 'extension.ropeTheta'],
      [{ originalMaxPositionEmbeddings: 1 }, 'extension.originalMaxPositionEmbeddings'],
      [{ originalMaxPositionEmbeddings: '256' }, 'extension.originalMaxPositionEmbeddings'],
      [{ targetLength: 4096 }, 'extension.targetLength'],
      [{ targetLength: 5000.5 }, 'extension.targetLength'],
    ];
    for (const [change, argument] of cases) {
      for (const method of Object.values(all)) {
        expect(() => method({ ...mini, ...change })).toThrow(expect.objectContaining({ code: 'ARGUMENT', argument }));
      }
    }
    expect(() => ntkFactors({ ...mini, betaFast: 3 } as never)).toThrow(
      expect.objectContaining({ code: 'OPTION_UNKNOWN' }),
    );
    expect(() => yarnFactors({ ...mini, betaFast: 1, betaSlow: 1 })).toThrow(
      expect.objectContaining({ code: 'ARGUMENT' }),
    );
    expect(() => plainFactors(null as never)).toThrow(expect.objectContaining({ code: 'ARGUMENT' }));
    for (const bad of [
      [[0.5], 8, 2],
      [[2], 1, 2],
      [[2], 8, 0.5],
      ['2', 8, 2],
    ] as const) {
      expect(() => rescaleFactors(bad[0] as never, bad[1], bad[2])).toThrow(
        expect.objectContaining({ code: 'ARGUMENT', function: 'rescaleFactors' }),
      );
    }
  });
});
