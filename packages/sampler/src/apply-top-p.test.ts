import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keptIds, logitCases, testStep } from '../test/step-properties.ts';
import { applyTopP } from './apply-top-p.ts';

/** The definition: sort by probability, of equals the lower id first; keep tokens until those before reach p. */
function kept(logits: Float32Array, topP: number): number[] {
  const largest = Math.max(...logits);
  const ids = keptIds(logits).sort((a, b) => logits[b]! - logits[a]! || a - b);
  const weights = ids.map((id) => Math.exp(logits[id]! - largest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let before = 0;
  const result: number[] = [];
  for (const [rank, id] of ids.entries()) {
    if (before >= topP * total) break;
    result.push(id);
    before += weights[rank]!;
  }
  return result.sort((a, b) => a - b);
}

describe('applyTopP', () => {
  for (const { name, logits } of logitCases()) {
    it(`keeps what sorting keeps: ${name}`, () => {
      // Shares that no sum of these weights meets exactly: there the order of summation would decide.
      for (const topP of [0.0101, 0.1003, 0.5007, 0.9011, 0.9907, 0.99999]) {
        expect(keptIds(applyTopP(logits, topP)), `topP ${topP}`).toEqual(kept(logits, topP));
      }
    });
  }

  it('by hand: probabilities 0.5, 0.25, 0.125, 0.125', () => {
    const logits = Float32Array.of(3, 2, 1, 1).map((log2) => log2 * Math.LN2);
    expect(keptIds(applyTopP(logits, 0.4))).toEqual([0]);
    expect(keptIds(applyTopP(logits, 0.6))).toEqual([0, 1]);
    expect(keptIds(applyTopP(logits, 0.8))).toEqual([0, 1, 2]);
    expect(keptIds(applyTopP(logits, 0.9))).toEqual([0, 1, 2, 3]);
  });

  it('always keeps the most likely token and leaves kept logits as they are', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -50, max: 50, noNaN: true }), { minLength: 1, maxLength: 60 }),
        fc.double({ min: 1e-6, max: 1, noNaN: true }),
        (numbers, topP) => {
          const logits = Float32Array.from(numbers);
          const result = applyTopP(logits, topP);
          const ids = keptIds(result);
          expect(ids).toContain(logits.indexOf(Math.max(...logits)));
          for (const id of ids) expect(result[id]).toBe(logits[id]);
          // No token that went was likelier than one that stayed.
          const least = Math.min(...ids.map((id) => logits[id]!));
          for (const [id, logit] of logits.entries()) if (!ids.includes(id)) expect(logit).toBeLessThanOrEqual(least);
        },
      ),
      { seed: 1 },
    );
  });

  it('1 keeps all', () => expect(keptIds(applyTopP(new Float32Array(9), 1))).toHaveLength(9));

  testStep((logits, out) => applyTopP(logits, 0.5, out));

  it('rejects shares outside (0, 1]', () => {
    for (const topP of [0, -0.1, 1.01, Number.NaN]) {
      expect(() => applyTopP(new Float32Array(3), topP)).toThrow(
        `ARGUMENT applyTopP(topP): expected a number above 0 and at most 1, got ${topP}`,
      );
    }
  });
});
