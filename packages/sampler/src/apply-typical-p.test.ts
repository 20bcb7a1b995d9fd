import { describe, expect, it } from 'vitest';
import { keptIds, logitCases, testStep } from '../test/step-properties.ts';
import { applyTypicalP } from './apply-typical-p.ts';

/** The definition: sort by the distance of -log p to the entropy, keep until the probabilities reach p, ties included. */
function kept(logits: Float32Array, typicalP: number): number[] {
  const ids = keptIds(logits);
  if (ids.length === 0) return [];
  const largest = Math.max(...logits);
  const total = ids.reduce((sum, id) => sum + Math.exp(logits[id]! - largest), 0);
  const logProbability = (id: number) => logits[id]! - largest - Math.log(total);
  const entropy = -ids.reduce((sum, id) => {
    const p = Math.exp(logProbability(id));
    return p === 0 ? sum : sum + p * logProbability(id);
  }, 0);
  const distance = (id: number) => Math.abs(-logProbability(id) - entropy);
  const sorted = [...ids].sort((a, b) => distance(a) - distance(b));
  let sum = 0;
  let last = sorted.length - 1;
  for (const [rank, id] of sorted.entries()) {
    sum += Math.exp(logProbability(id));
    if (sum >= typicalP) {
      last = rank;
      break;
    }
  }
  // Equal distances may differ in the last bits, as this definition rounds in another order than the step.
  return ids.filter((id) => distance(id) <= distance(sorted[last]!) + 1e-9);
}

describe('applyTypicalP', () => {
  for (const { name, logits } of logitCases().filter((one) => one.name !== 'extremes of float32')) {
    it(`keeps what sorting keeps: ${name}`, () => {
      for (const typicalP of [0.0101, 0.2003, 0.5007, 0.9011, 0.9907]) {
        expect(keptIds(applyTypicalP(logits, typicalP)), `typicalP ${typicalP}`).toEqual(kept(logits, typicalP));
      }
    });
  }

  it('by hand: the most likely token can go', () => {
    // Entropy of 0.5, 0.3, 0.2 is 1.03; the surprises 0.69, 1.20, 1.61 lie 0.34, 0.17 and 0.58 away.
    const logits = Float32Array.of(0.5, 0.3, 0.2).map(Math.log);
    expect(keptIds(applyTypicalP(logits, 0.25))).toEqual([1]);
    expect(keptIds(applyTypicalP(logits, 0.7))).toEqual([0, 1]);
    expect(keptIds(applyTypicalP(logits, 0.9))).toEqual([0, 1, 2]);
  });

  it('extremes of float32 keep at least one token', () => {
    const logits = Float32Array.of(3.4e38, -3.4e38, 0, 3.4e38);
    expect(keptIds(applyTypicalP(logits, 0.5))).toEqual([0, 3]);
  });

  testStep((logits, out) => applyTypicalP(logits, 0.5, out));

  it('rejects shares outside (0, 1]', () => {
    expect(() => applyTypicalP(new Float32Array(3), 0)).toThrow(/^ARGUMENT applyTypicalP\(typicalP\)/);
    expect(() => applyTypicalP(new Float32Array(3), 1.5)).toThrow(/^ARGUMENT applyTypicalP\(typicalP\)/);
  });
});
