import { describeWithShared, expectClose, loadGolden } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { routeBatch, routeToken, scoresWithLeads } from '../figures/expert-routing.ts';

/** The rule of the published code, in float64. */
function byDefinition(scores: readonly number[], count: number, epsilon: number) {
  const taken: number[] = [];
  return Array.from({ length: count }, () => {
    const left = scores.map((_, id) => id).filter((id) => !taken.includes(id));
    const expert = left.reduce((best, id) => (scores[id]! > scores[best]! ? id : best));
    const m = scores[expert]!;
    const rivals = left.filter((id) => !((m - scores[id]!) / Math.max(Math.abs(scores[id]!), m) > 2 * epsilon));
    taken.push(expert);
    return { expert, rivals, weight: 1 / rivals.reduce((sum, id) => sum + Math.exp(scores[id]! - m), 0) };
  });
}

describe('the figure of the routing', () => {
  it.each([
    [0.005, 0.005, 0.01],
    [0.05, 0.005, 0.01],
    [0.05, 0.3, 0.01],
    [0.05, 0.05, 0.1],
    [0, 0, 0],
  ])('leads of %d and %d at epsilon %d: choices, rivals and weights by the definition', (first, second, epsilon) => {
    const scores = scoresWithLeads(6, first, second).map(Math.fround);
    for (const count of [1, 2, 3]) {
      const { choices, sum } = routeToken(scores, count, epsilon);
      const expected = byDefinition(scores, count, epsilon);
      expect(choices.map(({ expert, rivals }) => ({ expert, rivals }))).toEqual(
        expected.map(({ expert, rivals }) => ({ expert, rivals })),
      );
      expectClose(
        choices.map(({ weight }) => weight),
        expected.map(({ weight }) => weight),
        { relative: 2 ** -22, reason: 'rounded to float32 once' },
      );
      expect(sum).toBeCloseTo(
        expected.reduce((total, { weight }) => total + weight, 0),
        6,
      );
    }
  });

  it('the usual softmax sums to 1, the sparse mixer to nearly 2', () => {
    const { softmax, sum } = routeToken(scoresWithLeads(8, 0.2, 0.2), 2, 0.01);
    expect(softmax.reduce((a, b) => a + b)).toBeCloseTo(1, 12);
    expect(sum).toBe(2);
  });

  it('a batch reads more experts than a token, and computes no row twice', () => {
    const one = routeBatch(1, 16, 2, 7);
    expect(one.numExpertsRead).toBe(2);
    const many = routeBatch(200, 16, 2, 7);
    expect(many.numExpertsRead).toBe(16);
    expect(many.tokensOfExpert.reduce((a, b) => a + b)).toBe(400);
    expect(many.rows).toBe(400);
    expect(routeBatch(200, 16, 2, 7)).toEqual(many);
  });
});

describeWithShared('against routings of the published code', 'goldens/block-sparsemixer-a', () => {
  const golden = loadGolden('block-sparsemixer-a');
  const runs = golden.description.runs as unknown[] as { name: string; router_jitter_noise: number }[];

  it.each(runs.map((run) => run.name))('%s', (name) => {
    const { router_jitter_noise: epsilon } = runs.find((run) => run.name === name)!;
    const { data, shape } = golden.tensor(`${name}/scores`);
    const experts = Array.from(golden.tensor(`${name}/experts`).data as Int32Array, Number);
    const weights = golden.tensor(`${name}/weights`);
    const [numTokens, numExperts] = shape as [number, number];
    for (let token = 0; token < Math.min(numTokens, 20); token++) {
      const scores = Array.from((data as Float32Array).subarray(token * numExperts, (token + 1) * numExperts));
      const { choices } = routeToken(scores, 2, epsilon);
      expect(choices.map(({ expert }) => expert)).toEqual(experts.slice(2 * token, 2 * token + 2));
      const expected = Array.from(weights.data as Float32Array).slice(2 * token, 2 * token + 2);
      expectClose(
        choices.map(({ weight }) => weight),
        expected,
        { absolute: weights.tolerance, reason: 'the tolerance of the case' },
      );
    }
  });
});
