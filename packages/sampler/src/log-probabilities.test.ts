import { expectClose } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { keptIds, logitCases } from '../test/step-properties.ts';
import { logSumExp, topLogProbabilities } from './log-probabilities.ts';
import { softmax } from './softmax.ts';

const usable = logitCases().filter(({ logits }) => keptIds(logits).length > 0);

/** The definition, in float64. */
function probabilities(logits: Float32Array): number[] {
  const largest = Math.max(...logits);
  const exponentials = Array.from(logits, (logit) => Math.exp(logit - largest));
  const total = exponentials.reduce((sum, one) => sum + one, 0);
  return exponentials.map((one) => one / total);
}

describe('softmax', () => {
  for (const { name, logits } of usable) {
    it(`follows the definition: ${name}`, () =>
      expectClose(softmax(logits), probabilities(logits), {
        relative: 2 ** -23,
        absolute: 2 ** -149,
        reason: 'one rounding to float32, also of subnormals',
      }));
  }
  it('has no distribution without a token', () => {
    expect(() => softmax(new Float32Array(3).fill(-Infinity))).toThrow(/^SAMPLER_EMPTY softmax.*3 logits of -Infinity/);
    expect(() => softmax(new Float32Array(0))).toThrow(/^SAMPLER_EMPTY softmax.*no logits/);
  });
});

describe('topLogProbabilities', () => {
  for (const { name, logits } of usable) {
    it(`lists what sorting lists: ${name}`, () => {
      const expected = probabilities(logits);
      for (const count of [0, 1, 3, logits.length].filter((one) => one <= logits.length)) {
        const ids = keptIds(logits)
          .sort((a, b) => logits[b]! - logits[a]! || a - b)
          .slice(0, count);
        const listed = topLogProbabilities(logits, count);
        expect(listed.map(({ id }) => id)).toEqual(ids);
        for (const { id, logprob } of listed) {
          expect(Math.abs(Math.exp(logprob) - expected[id]!), `token ${id}`).toBeLessThan(1e-12);
        }
      }
    });
  }

  it('sums to 1 over the whole vocabulary', () => {
    const { logits } = usable.find(({ name }) => name === '1000 normal')!;
    const sum = topLogProbabilities(logits, 1000).reduce((total, { logprob }) => total + Math.exp(logprob), 0);
    // A thousand float64 roundings.
    expect(Math.abs(sum - 1)).toBeLessThan(1e-12);
  });

  it('rejects counts outside the vocabulary', () => {
    for (const count of [-1, 0.5, 4, Number.NaN]) {
      expect(() => topLogProbabilities(new Float32Array(3), count)).toThrow(/^ARGUMENT topLogProbabilities\(count\)/);
    }
  });
});

describe('logSumExp', () => {
  it('by hand: ln(1 + 3)', () => expect(logSumExp(Float32Array.of(0, Math.log(3)))).toBeCloseTo(Math.log(4), 6)); // ln 3 rounds to float32
  it('rejects NaN', () => expect(() => logSumExp(Float32Array.of(Number.NaN))).toThrow(/^NUM_NAN logSumExp/));
});
