import { createSeededRandom, expectClose } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { combineExperts } from './combine-experts.ts';
import { groupTokensByExpert } from './group-tokens-by-expert.ts';
import { routeSparseMixer } from './route-sparse-mixer.ts';

const random = createSeededRandom(6);

describe.each([
  [0, 4, 2],
  [1, 4, 2],
  [3, 16, 2],
  [40, 16, 2],
  [40, 5, 5],
  [7, 1, 1],
])('%i tokens, %i experts, %i per token', (numTokens, numExperts, expertsPerToken) => {
  const scores = { data: random.normals(numTokens * numExperts), shape: [numTokens, numExperts] };
  const routing = routeSparseMixer(scores, { expertsPerToken, jitterEpsilon: 0.3 });
  const groups = groupTokensByExpert(routing);

  it('each group lists the tokens that chose the expert, ascending, with their weights', () => {
    const expected = Array.from({ length: numExperts }, (_, expert) => {
      const tokens: number[] = [];
      const weights: number[] = [];
      for (const [choice, chosen] of routing.expertIds.entries()) {
        if (chosen !== expert) continue;
        tokens.push(Math.floor(choice / expertsPerToken));
        weights.push(routing.weights[choice]!);
      }
      return { expert, tokens: Int32Array.from(tokens), weights: Float32Array.from(weights) };
    });
    expect(groups).toEqual(expected.filter(({ tokens }) => tokens.length > 0));
  });

  it('combining the groups gives the weighted sum per token', () => {
    const width = 3;
    const hidden = random.normals(numTokens * width);
    // Any function will do for an expert: this one differs by expert and by component.
    const output = (expert: number, token: number, i: number) =>
      Math.fround(hidden[token * width + i]! * (expert + 1) - i);
    const out = new Float32Array(numTokens * width);
    for (const group of groups) {
      const rows = Array.from(group.tokens, (token) => [0, 1, 2].map((i) => output(group.expert, token, i)));
      expect(combineExperts(out, Float32Array.from(rows.flat()), group)).toBe(out);
    }
    const expected: number[] = [];
    const magnitude = Math.max(1, ...hidden.map(Math.abs)) * (numExperts + 3);
    for (let token = 0; token < numTokens; token++) {
      for (let i = 0; i < width; i++) {
        let sum = 0;
        for (let choice = token * expertsPerToken; choice < (token + 1) * expertsPerToken; choice++) {
          sum += routing.weights[choice]! * output(routing.expertIds[choice]!, token, i);
        }
        expected.push(sum);
      }
    }
    const absolute = expertsPerToken * 2 ** -23 * magnitude;
    expectClose(out, expected, { absolute, reason: 'one rounding of the float32 sum per expert of the token' });
  });
});

describe('errors', () => {
  const routing = routeSparseMixer(
    { data: Float32Array.of(1, 2), shape: [1, 2] },
    { expertsPerToken: 1, jitterEpsilon: 0 },
  );

  it('groupTokensByExpert rejects routings that contradict themselves', () => {
    expect(() => groupTokensByExpert({ ...routing, numTokens: 2 })).toThrow(
      'SHAPE groupTokensByExpert(routing): expected 2 ids and weights for 2 tokens with 1 experts each, got [1, 1]',
    );
    expect(() => groupTokensByExpert({ ...routing, expertIds: Int32Array.of(2) })).toThrow(
      'ARGUMENT groupTokensByExpert(routing.expertIds[0]): expected an expert from 0 to 1, got 2',
    );
    expect(() => groupTokensByExpert({ ...routing, expertIds: Int32Array.of(-1) })).toThrow(/^ARGUMENT/);
  });

  it('combineExperts rejects rows that do not fit', () => {
    const group = { expert: 0, tokens: Int32Array.of(0, 2), weights: Float32Array.of(1, 1) };
    const out = new Float32Array(6);
    expect(() => combineExperts(out, new Float32Array(5), group)).toThrow(/^SHAPE combineExperts\(expertOutput\)/);
    expect(() => combineExperts(out, new Float32Array(8), group)).toThrow(
      'SHAPE combineExperts(out): expected rows of 4, got 6',
    );
    expect(() => combineExperts(out, new Float32Array(6), group)).toThrow(
      'ARGUMENT combineExperts(group.tokens[1]): expected a row from 0 to 1, got 2',
    );
    expect(() => combineExperts(out, new Float32Array(2), { ...group, tokens: Int32Array.of(0, -1) })).toThrow(
      /^ARGUMENT/,
    );
    expect(() => combineExperts(out, new Float32Array(4), { ...group, weights: Float32Array.of(1) })).toThrow(/^SHAPE/);
  });
});
