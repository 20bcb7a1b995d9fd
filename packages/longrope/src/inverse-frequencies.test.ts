import { describeWithShared, expectClose, loadGolden } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { rotaryConfigOf } from '../test/golden-config.ts';
import { inverseFrequencies } from './inverse-frequencies.ts';

// From the paper, in float64.
function definition(theta: number, dimension: number, factors?: number[]): number[] {
  return Array.from({ length: dimension / 2 }, (_, i) => 1 / ((factors?.[i] ?? 1) * theta ** ((2 * i) / dimension)));
}

// Four roundings to float32: the exponent (whose error is multiplied by ln theta < 14), the power, the product, the quotient.
const fourRoundings = { relative: (14 + 3) * 2 ** -24, reason: 'four roundings to float32' };

describe('inverseFrequencies', () => {
  it('is the definition rounded to float32', () => {
    for (const [theta, dimension] of [
      [10000, 96],
      [10000, 128],
      [1e6, 128],
      [500, 2],
    ] as const) {
      const config = { headDim: dimension, ropeTheta: theta, maxPositionEmbeddings: 4096 };
      expectClose(inverseFrequencies(config, 'none'), definition(theta, dimension), fourRoundings);
    }
  });

  it('divides by the factors of the list it is told', () => {
    const [shortFactor, longFactor] = [
      [1, 1.5, 2, 2.5],
      [1, 4, 16, 64],
    ];
    const ropeScaling = { type: 'su', shortFactor, longFactor } as const;
    const config = { headDim: 8, ropeTheta: 10000, maxPositionEmbeddings: 64, originalMaxPositionEmbeddings: 16 };
    const scaled = { ...config, ropeScaling };
    expectClose(inverseFrequencies(scaled, 'short'), definition(10000, 8, shortFactor), fourRoundings);
    expectClose(inverseFrequencies(scaled, 'long'), definition(10000, 8, longFactor), fourRoundings);
    expect(inverseFrequencies(scaled, 'none')).toEqual(inverseFrequencies(config, 'none'));
  });

  it('counts the exponent over the rotary dimension, not the head', () => {
    const config = { headDim: 128, partialRotaryFactor: 0.75, ropeTheta: 10000, maxPositionEmbeddings: 4096 };
    expectClose(inverseFrequencies(config, 'none'), definition(10000, 96), fourRoundings);
  });

  it('by hand: theta 10000, two pairs', () => {
    const config = { headDim: 4, ropeTheta: 10000, maxPositionEmbeddings: 4096 };
    expect([...inverseFrequencies(config, 'none')]).toEqual([1, Math.fround(0.01)]);
  });

  it('rejects a list where there is none, and an unknown list', () => {
    const config = { headDim: 4, ropeTheta: 10000, maxPositionEmbeddings: 4096 };
    expect(() => inverseFrequencies(config, 'long')).toThrow(expect.objectContaining({ code: 'LR_NO_FACTORS' }));
    expect(() => inverseFrequencies(config, 'medium' as never)).toThrow(
      "ARGUMENT inverseFrequencies(list): expected none, short or long, got 'medium'",
    );
  });
});

for (const name of ['block-rope-mini128k-a', 'block-rope-moe-a']) {
  describeWithShared(`published factors, ${name}`, `goldens/${name}`, () => {
    const golden = loadGolden(name);
    for (const run of golden.description.runs!) {
      it(`${run.name}: inv_freq, element by element`, () => {
        const expected = golden.tensor(`${run.name}/inv_freq`);
        const actual = inverseFrequencies(rotaryConfigOf(golden.config!), run.branch as 'short' | 'long');
        expectClose(actual, expected.data, { absolute: expected.tolerance, reason: 'stated by the case' });
        // Much narrower than stated: only the power function may differ, by a unit in the last place.
        expectClose(actual, expected.data, { relative: 2 ** -23, reason: 'one unit in the last place' });
      });
    }
  });
}
