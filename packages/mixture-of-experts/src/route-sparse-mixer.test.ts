import type { FloatTensor } from '@phiblocks/tensor';
import { createSeededRandom, describeWithShared, expectClose, loadGolden } from '@phiblocks/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { routeSparseMixer } from './route-sparse-mixer.ts';

const published = { expertsPerToken: 2, jitterEpsilon: 0.01 };

function row(...scores: number[]): FloatTensor {
  return { data: Float32Array.from(scores), shape: [1, scores.length] };
}

/** The definition for two experts, in float64, as the specification writes it. */
function routeByDefinition(scores: number[], epsilon: number): { ids: number[]; weights: number[]; margin: number } {
  let margin = Infinity;
  const choose = (s: number[]): [number, number] => {
    const m = Math.max(...s);
    const e = s.indexOf(m);
    const kept = s.filter((one) => {
      const ratio = (m - one) / Math.max(Math.abs(one), m);
      if (one !== -Infinity) margin = Math.min(margin, Math.abs(ratio - 2 * epsilon));
      return !(ratio > 2 * epsilon);
    });
    return [e, 1 / kept.reduce((sum, one) => sum + Math.exp(one - m), 0)];
  };
  const [first, firstWeight] = choose(scores);
  const [second, secondWeight] = choose(scores.map((score, expert) => (expert === first ? -Infinity : score)));
  return { ids: [first, second], weights: [firstWeight, secondWeight], margin };
}

describe('routeSparseMixer', () => {
  it('is the definition', () => {
    const random = createSeededRandom(1);
    let compared = 0;
    for (let trial = 0; trial < 400; trial++) {
      const numExperts = 2 + random.integer(15);
      const epsilon = [0.01, 0.1, 0.3][trial % 3]!;
      const scores = random.normals(numExperts, 2);
      const { ids, weights, margin } = routeByDefinition(Array.from(scores), epsilon);
      // Where a ratio lies at the threshold, float32 and float64 may fall to different sides.
      if (margin < 1e-6) continue;
      compared++;
      const routing = routeSparseMixer(row(...scores), { expertsPerToken: 2, jitterEpsilon: epsilon });
      expect(Array.from(routing.expertIds)).toEqual(ids);
      expectClose(routing.weights, weights, { relative: 2 ** -23, reason: 'one rounding to float32' });
    }
    expect(compared).toBeGreaterThan(380);
  });

  it.each([
    [
      [2, 1, 0.5, 0.1],
      [0, 1],
      [1, 1],
    ],
    [
      [2, 1.98, 1, 0.99],
      [0, 1],
      [0.505, 1],
    ],
    [
      [1, 0.99, 0.985, 0.5],
      [0, 1],
      [0.3361162, 0.50125],
    ],
    [
      [-1, -1.01, -2, -3],
      [0, 1],
      [0.5025, 1],
    ],
  ])('the checks of the specification: %j', (scores, ids, weights) => {
    const routing = routeSparseMixer(row(...scores), published);
    expect(Array.from(routing.expertIds)).toEqual(ids);
    expectClose(routing.weights, weights, { absolute: 5e-7, reason: 'the checks are given to 4 to 7 digits' });
  });

  it('by hand: a rival one percent away shares the weight, exp(0) to exp(-0.02)', () => {
    const { weights } = routeSparseMixer(row(2, 1.98, -5), published);
    expectClose(weights, [1 / (1 + Math.exp(-0.02)), 1], { absolute: 1e-7, reason: '1.98 rounds to float32' });
  });

  it('all scores 0: the ratio is 0 / 0 and nothing is dropped', () => {
    const { expertIds, weights } = routeSparseMixer(row(0, 0, 0, 0, 0), published);
    expect(Array.from(expertIds)).toEqual([0, 1]);
    expectClose(weights, [1 / 5, 1 / 4], { relative: 2 ** -23, reason: 'one rounding to float32' });
  });

  it('a largest score of 0 over negative ones', () => {
    // (0 - -1) / max(1, 0) = 1: dropped. Then -1 against -1.001: kept.
    const { weights } = routeSparseMixer(row(0, -1, -1.001), published);
    expectClose(weights, [1, 1 / (1 + Math.exp(-0.001))], { absolute: 1e-7, reason: '1.001 rounds to float32' });
  });

  it('epsilon 0 keeps only equals; a large one keeps all: the plain softmax', () => {
    expect(Array.from(routeSparseMixer(row(3, 3, 2.9999), { expertsPerToken: 1, jitterEpsilon: 0 }).weights)).toEqual([
      0.5,
    ]);
    const { weights } = routeSparseMixer(row(3, 1, -4), { expertsPerToken: 2, jitterEpsilon: 1e9 });
    const [a, b, c] = [Math.exp(3), Math.exp(1), Math.exp(-4)];
    expectClose(weights, [a / (a + b + c), b / (b + c)], { relative: 2 ** -23, reason: 'one rounding to float32' });
  });

  it('huge scores do not overflow', () => {
    const { expertIds, weights } = routeSparseMixer(row(-3e38, 3e38, 1), published);
    expect(Array.from(expertIds)).toEqual([1, 2]);
    expect(Array.from(weights)).toEqual([1, 1]);
  });

  it('rows do not touch each other, experts of a token differ, weights lie in (0, 1]', () => {
    const scores = fc.float({ min: -20, max: 20, noNaN: true });
    fc.assert(
      fc.property(
        fc
          .integer({ min: 1, max: 6 })
          .chain((numExperts) =>
            fc.tuple(
              fc.array(fc.array(scores, { minLength: numExperts, maxLength: numExperts }), { maxLength: 5 }),
              fc.integer({ min: 1, max: numExperts }),
              fc.constant(numExperts),
            ),
          ),
        ([rows, expertsPerToken, numExperts]) => {
          const options = { expertsPerToken, jitterEpsilon: 0.1 };
          const all = routeSparseMixer(
            { data: Float32Array.from(rows.flat()), shape: [rows.length, numExperts] },
            options,
          );
          expect([all.numTokens, all.numExperts, all.expertsPerToken]).toEqual([
            rows.length,
            numExperts,
            expertsPerToken,
          ]);
          for (const [token, one] of rows.entries()) {
            const alone = routeSparseMixer(row(...one), options);
            const [start, end] = [token * expertsPerToken, (token + 1) * expertsPerToken];
            expect(all.expertIds.slice(start, end)).toEqual(alone.expertIds);
            expect(all.weights.slice(start, end)).toEqual(alone.weights);
            expect(new Set(alone.expertIds).size).toBe(expertsPerToken);
            for (const weight of alone.weights) expect(weight > 0 && weight <= 1).toBe(true);
          }
        },
      ),
      { seed: 2 },
    );
  });

  it('does not write to the scores', () => {
    const scores = row(1, 2, 3);
    routeSparseMixer(scores, published);
    expect(Array.from(scores.data)).toEqual([1, 2, 3]);
  });

  it('rejects what it cannot route', () => {
    for (const expertsPerToken of [0, 4, 1.5, Number.NaN]) {
      expect(() => routeSparseMixer(row(1, 2, 3), { ...published, expertsPerToken })).toThrow(
        `ARGUMENT routeSparseMixer(options.expertsPerToken): expected a whole number from 1 to 3, got ${expertsPerToken}`,
      );
    }
    for (const jitterEpsilon of [-0.1, Number.NaN, Infinity]) {
      expect(() => routeSparseMixer(row(1, 2, 3), { ...published, jitterEpsilon })).toThrow(
        `ARGUMENT routeSparseMixer(options.jitterEpsilon): expected a finite number from 0 up, got ${jitterEpsilon}`,
      );
    }
    for (const score of [Number.NaN, Infinity, -Infinity]) {
      const scores = { data: Float32Array.of(1, 2, 3, score), shape: [2, 2] };
      expect(() => routeSparseMixer(scores, published)).toThrow(
        `NUM_NAN routeSparseMixer(scores[1, 1]): expected a finite number, got ${score}`,
      );
    }
    expect(() => routeSparseMixer({ data: new Float32Array(4), shape: [4] }, published)).toThrow(/^SHAPE.*\(scores\)/);
    expect(() => routeSparseMixer(row(1, 2), { ...published, topK: 2 } as never)).toThrow(/^OPTION_UNKNOWN.*\(topK\)/);
  });
});

describeWithShared('routing of the published code', 'goldens/block-sparsemixer-a', () => {
  const golden = loadGolden('block-sparsemixer-a');
  const runs = golden.description.runs as unknown[] as { name: string; router_jitter_noise: number }[];

  it.each(runs.map((run) => run.name))('%s: every expert and every weight', (name) => {
    const { router_jitter_noise: jitterEpsilon } = runs.find((run) => run.name === name)!;
    const { data, shape } = golden.tensor(`${name}/scores`);
    const routing = routeSparseMixer({ data: data as Float32Array, shape }, { expertsPerToken: 2, jitterEpsilon });
    expect(Array.from(routing.expertIds)).toEqual(Array.from(golden.tensor(`${name}/experts`).data));
    const expected = golden.tensor(`${name}/weights`);
    expectClose(routing.weights, expected.data, { absolute: expected.tolerance, reason: 'the tolerance of the case' });
  });
});
