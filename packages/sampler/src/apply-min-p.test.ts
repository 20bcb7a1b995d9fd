import { describe, expect, it } from 'vitest';
import { keptIds, logitCases, testStep } from '../test/step-properties.ts';
import { applyMinP } from './apply-min-p.ts';

describe('applyMinP', () => {
  for (const { name, logits } of logitCases()) {
    it(`keeps what the probabilities say: ${name}`, () => {
      const largest = Math.max(...logits);
      // Shares at which no token lies exactly: there the rounding of the logarithm would decide.
      for (const minP of [0.00103, 0.0507, 0.3011, 0.9]) {
        const kept = keptIds(logits).filter((id) => Math.exp(logits[id]! - largest) >= minP);
        expect(keptIds(applyMinP(logits, minP)), `minP ${minP}`).toEqual(kept);
      }
    });
  }

  it('0 keeps all; 1 keeps the most likely and its equals', () => {
    expect(keptIds(applyMinP(Float32Array.of(1, 2, 2), 0))).toEqual([0, 1, 2]);
    expect(keptIds(applyMinP(Float32Array.of(1, 2, 2), 1))).toEqual([1, 2]);
  });

  testStep((logits, out) => applyMinP(logits, 0.1, out));

  it('rejects shares outside [0, 1]', () => {
    for (const minP of [-0.1, 1.01, Number.NaN]) {
      expect(() => applyMinP(new Float32Array(3), minP)).toThrow(
        `ARGUMENT applyMinP(minP): expected a number from 0 to 1, got ${minP}`,
      );
    }
  });
});
