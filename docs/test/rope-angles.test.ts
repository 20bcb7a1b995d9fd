import { describeWithShared, loadGolden } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { memberOf } from '../figures/published-configs.ts';
import { listsOf, ropeAngles } from '../figures/rope-angles.ts';

/** Degrees of freedom of an angle: two that differ by a turn are the same. */
const turn = 2 * Math.PI;
const distanceOnCircle = (a: number, b: number): number =>
  Math.abs(((a - b + Math.PI) % turn) + (a - b + Math.PI < 0 ? turn : 0) - Math.PI);

describe('rope angles', () => {
  it.each([
    ['phi-3-mini-4k-instruct', 'none'],
    ['phi-3-mini-128k-instruct', 'short'],
    ['phi-3-mini-128k-instruct', 'long'],
    ['phi-3.5-moe-instruct', 'long'],
    ['phi-4-mini-instruct', 'short'],
    ['phi-3-small-8k-instruct', 'none'],
  ] as const)('are those of the definition: %s, %s', (id, list) => {
    const { config } = memberOf(id);
    const scaling = config.ropeScaling;
    const factors = list === 'none' ? undefined : list === 'short' ? scaling!.shortFactor : scaling!.longFactor;
    const rotaryDim = Math.trunc(config.headDim * config.partialRotaryFactor);
    for (const position of [0, 1, 4095]) {
      const pairs = ropeAngles(config, position, list);
      expect(pairs).toHaveLength(rotaryDim / 2);
      for (const { pair, frequency, wavelength, turns, angleInRadians } of pairs) {
        const exact = 1 / ((factors?.[pair] ?? 1) * config.ropeTheta ** ((2 * pair) / rotaryDim));
        // Frequencies go through three roundings to float32, each of at most 2^-24 of the value.
        expect(Math.abs(frequency / exact - 1)).toBeLessThan(4 * 2 ** -24 * Math.log(config.ropeTheta) + 4 * 2 ** -24);
        expect(wavelength).toBeCloseTo((2 * Math.PI) / frequency, 10);
        expect(turns).toBeCloseTo((position * frequency) / (2 * Math.PI), 10);
        // At position p the angle is p times as wrong, and rounded once more; the cosine and the sine too.
        const slack = position * exact * 2 ** -19 + 2 ** -21;
        expect(distanceOnCircle(angleInRadians, position * exact), `${id} ${list} ${position} ${pair}`).toBeLessThan(
          slack,
        );
      }
    }
  });

  it('are the hand case: one radian per token for pair 0 of a plain model', () => {
    const pairs = ropeAngles(memberOf('phi-3-mini-4k-instruct').config, 2, 'none');
    expect(pairs[0]!.frequency).toBe(1);
    expect(pairs[0]!.angleInRadians).toBeCloseTo(2, 6);
  });

  it('offers the lists that a member has', () => {
    expect(listsOf(memberOf('phi-3-mini-4k-instruct').config)).toEqual(['none']);
    expect(listsOf(memberOf('phi-3-mini-128k-instruct').config)).toEqual(['short', 'long', 'none']);
  });
});

describeWithShared('rope angles of the published factors', 'goldens/block-rope-mini128k-a', () => {
  const golden = loadGolden('block-rope-mini128k-a');
  const runs = golden.description.runs!.map(({ name, branch }) => ({ name, branch: branch as 'short' | 'long' }));

  it.each(runs)('are the recorded ones: $name', ({ name, branch }) => {
    const { config } = memberOf('phi-3-mini-128k-instruct');
    const cos = golden.tensor(`${name}/cos`);
    const sin = golden.tensor(`${name}/sin`);
    const inverse = golden.tensor(`${name}/inv_freq`);
    for (const [row, position] of golden.tensor(`${name}/positions`).data.entries()) {
      for (const { pair, frequency, angleInRadians } of ropeAngles(config, position, branch)) {
        expect(Math.abs(frequency - inverse.data[pair]!)).toBeLessThanOrEqual(inverse.tolerance);
        const recorded = Math.atan2(sin.data[row * 96 + pair]!, cos.data[row * 96 + pair]!);
        // The tolerance of the case is one of components of length A, so that of the angle is no larger.
        expect(distanceOnCircle(angleInRadians, recorded), `${position}, pair ${pair}`).toBeLessThanOrEqual(
          cos.tolerance,
        );
      }
    }
  });
});
