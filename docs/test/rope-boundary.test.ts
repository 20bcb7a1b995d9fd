import { describe, expect, it } from 'vitest';
import { memberOf } from '../figures/published-configs.ts';
import { policySteps, scoreByDistance } from '../figures/rope-boundary.ts';

const { config } = memberOf('phi-3-mini-128k-instruct');
const stepOf = (policy: string, length: number, capacity = 131072) =>
  policySteps(config, length, capacity).find((step) => step.policy === policy);

describe('policies at the boundary', () => {
  it('follow the length, or the capacity, or nothing', () => {
    expect(stepOf('reference', 4096)).toEqual({
      policy: 'reference',
      queryList: 'short',
      keyList: 'short',
      runsAgain: false,
    });
    expect(stepOf('reference', 4097)).toEqual({
      policy: 'reference',
      queryList: 'long',
      keyList: 'long',
      runsAgain: true,
    });
    expect(stepOf('reference', 4098)).toEqual({
      policy: 'reference',
      queryList: 'long',
      keyList: 'long',
      runsAgain: false,
    });
    expect(stepOf('rerotate', 4097)).toEqual({
      policy: 'rerotate',
      queryList: 'long',
      keyList: 'long',
      runsAgain: false,
    });
    expect(stepOf('capacity', 10)).toMatchObject({ queryList: 'long', keyList: 'long', runsAgain: false });
    expect(stepOf('capacity', 10, 4096)).toMatchObject({ queryList: 'short', keyList: 'short', runsAgain: false });
    expect(stepOf('short', 5000)).toMatchObject({ queryList: 'short', keyList: 'short', runsAgain: false });
    expect(stepOf('long', 10)).toMatchObject({ queryList: 'long', keyList: 'long', runsAgain: false });
  });

  it('never meet keys of another list', () => {
    for (const length of [2, 4095, 4096, 4097, 4098, 9000]) {
      for (const { keyList, queryList } of policySteps(config, length, 131072)) expect(keyList).toBe(queryList);
    }
  });
});

describe('scores by distance', () => {
  const A = Math.sqrt(1 + Math.log(32) / Math.log(4096));
  /** Two vectors of ones, turned by angles a and b in each pair: the product is Σ 2 cos(a − b), times A². */
  function definition(
    position: number,
    distance: number,
    queryFactors: readonly number[],
    keyFactors: readonly number[],
  ): number {
    let sum = 0;
    for (let i = 0; i < 48; i++) {
      const base = 10000 ** ((2 * i) / 96);
      sum += 2 * Math.cos(position / (queryFactors[i]! * base) - (position - distance) / (keyFactors[i]! * base));
    }
    return (A * A * sum) / 96;
  }

  it.each([
    ['short', 'short'],
    ['long', 'long'],
    ['long', 'short'],
  ] as const)('are those of the definition: a %s query, %s keys', (queryList, keyList) => {
    const lists = { short: config.ropeScaling!.shortFactor, long: config.ropeScaling!.longFactor };
    const position = 4096;
    const { distances, scores } = scoreByDistance(config, {
      position,
      queryList,
      keyList,
      maxDistance: 256,
      numPoints: 65,
    });
    expect([...distances]).toEqual(Array.from({ length: 65 }, (_, n) => 4 * n));
    for (const [n, distance] of distances.entries()) {
      // Angles up to 4096 in float32 are off by up to 4096 · 2^-23, the frequency's own rounding included.
      expect(Math.abs(scores[n]! - definition(position, distance, lists[queryList], lists[keyList]))).toBeLessThan(
        2e-3,
      );
    }
  });

  it('are A² at distance 0 for matching lists, and not for mixed ones', () => {
    const at0 = (queryList: 'short' | 'long', keyList: 'short' | 'long') =>
      scoreByDistance(config, { position: 4096, queryList, keyList, maxDistance: 1, numPoints: 2 }).scores[0]!;
    expect(at0('long', 'long')).toBeCloseTo(A * A, 5);
    expect(at0('short', 'short')).toBeCloseTo(A * A, 5);
    expect(Math.abs(at0('long', 'short') - A * A)).toBeGreaterThan(0.1);
  });
});
