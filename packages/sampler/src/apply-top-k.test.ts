import { describe, expect, it } from 'vitest';
import { keptIds, logitCases, testStep } from '../test/step-properties.ts';
import { applyTopK } from './apply-top-k.ts';

/** The definition: sort all, keep what is not below the k-th. */
function kept(logits: Float32Array, k: number): number[] {
  const sorted = Array.from(logits).sort((a, b) => b - a);
  const threshold = sorted[Math.min(k, sorted.length) - 1]!;
  return keptIds(logits).filter((id) => logits[id]! >= threshold);
}

describe('applyTopK', () => {
  for (const { name, logits } of logitCases()) {
    it(`keeps what sorting keeps: ${name}`, () => {
      for (const k of [1, 2, 3, 7, 50, 299, 999, 5000]) {
        expect(keptIds(applyTopK(logits, k)), `k ${k}`).toEqual(kept(logits, k));
      }
    });
  }

  it('by hand: the largest two, and three where the second has an equal', () => {
    expect(applyTopK(Float32Array.of(1, 4, 3, 2), 2)).toEqual(Float32Array.of(-Infinity, 4, 3, -Infinity));
    expect(applyTopK(Float32Array.of(3, 4, 3, 2), 2)).toEqual(Float32Array.of(3, 4, 3, -Infinity));
  });

  it('0 keeps all', () => expect(applyTopK(Float32Array.of(1, 2), 0)).toEqual(Float32Array.of(1, 2)));

  testStep((logits, out) => applyTopK(logits, 2, out));

  it('rejects numbers that are no count', () => {
    for (const k of [-1, 1.5, Number.NaN, Infinity]) {
      expect(() => applyTopK(new Float32Array(3), k)).toThrow(
        `ARGUMENT applyTopK(topK): expected a whole number from 0 up, got ${k}`,
      );
    }
  });
});
