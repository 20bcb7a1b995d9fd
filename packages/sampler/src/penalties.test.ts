import { createSeededRandom } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { testStep } from '../test/step-properties.ts';
import { applyFrequencyPenalty } from './apply-frequency-penalty.ts';
import { applyPresencePenalty } from './apply-presence-penalty.ts';
import { applyRepetitionPenalty } from './apply-repetition-penalty.ts';

const random = createSeededRandom(21);
const logits = random.normals(40, 3);
logits[4] = -Infinity;
const promptIds = Array.from({ length: 30 }, () => random.integer(20));
const generatedIds = Array.from({ length: 30 }, () => 10 + random.integer(30));

describe('applyRepetitionPenalty', () => {
  it('penalizes each token of prompt and answer once', () => {
    const seen = new Set([...promptIds, ...generatedIds]);
    for (const penalty of [0.5, 1, 1.3]) {
      const expected = logits.map((logit, id) =>
        !seen.has(id) ? logit : logit < 0 ? logit * penalty : logit / penalty,
      );
      expect(applyRepetitionPenalty(logits, { promptIds, generatedIds }, penalty)).toEqual(expected);
    }
  });

  it('passes over negative ids, which mark positions without a token', () => {
    expect(applyRepetitionPenalty(Float32Array.of(4, 4), { promptIds: [-1, 0], generatedIds: [-2] }, 2)).toEqual(
      Float32Array.of(2, 4),
    );
  });

  it('rejects ids outside the vocabulary by position, and penalties not above 0', () => {
    const two = new Float32Array(2);
    expect(() => applyRepetitionPenalty(two, { promptIds: [0, 2], generatedIds: [] }, 2)).toThrow(
      'ARGUMENT applyRepetitionPenalty(history.promptIds[1]): expected a token id from 0 to 1, got 2',
    );
    expect(() => applyRepetitionPenalty(two, { promptIds: [], generatedIds: [0.5] }, 2)).toThrow(
      'ARGUMENT applyRepetitionPenalty(history.generatedIds[0]): expected a token id from 0 to 1, got 0.5',
    );
    for (const penalty of [0, -1, Number.NaN, Infinity]) {
      expect(() => applyRepetitionPenalty(two, { promptIds: [], generatedIds: [] }, penalty)).toThrow(
        `ARGUMENT applyRepetitionPenalty(penalty): expected a number above 0, got ${penalty}`,
      );
    }
  });

  it('reports a logit that it drives out of range', () => {
    expect(() => applyRepetitionPenalty(Float32Array.of(3e38), { promptIds: [0], generatedIds: [] }, 1e-3)).toThrow(
      /^NUM_NAN/,
    );
  });

  testStep((input, out) => applyRepetitionPenalty(input, { promptIds: [0], generatedIds: [1, 1] }, 1.3, out));
});

describe('applyFrequencyPenalty', () => {
  it('takes the penalty times the count in the answer', () => {
    for (const penalty of [-0.7, 0, 0.4]) {
      const expected = logits.map((logit, id) => logit - penalty * generatedIds.filter((one) => one === id).length);
      expect(applyFrequencyPenalty(logits, generatedIds, penalty)).toEqual(expected);
    }
  });
  it('rejects what is not finite', () =>
    expect(() => applyFrequencyPenalty(logits, [], Infinity)).toThrow(/^ARGUMENT applyFrequencyPenalty\(penalty\)/));

  testStep((input, out) => applyFrequencyPenalty(input, [0, 1, 1], 0.4, out));
});

describe('applyPresencePenalty', () => {
  it('takes the penalty once from every token of the answer', () => {
    for (const penalty of [-0.7, 0, 0.4]) {
      const expected = logits.map((logit, id) => logit - (generatedIds.includes(id) ? penalty : 0));
      expect(applyPresencePenalty(logits, generatedIds, penalty)).toEqual(expected);
    }
  });
  it('rejects what is not finite', () =>
    expect(() => applyPresencePenalty(logits, [], Number.NaN)).toThrow(/^ARGUMENT applyPresencePenalty\(penalty\)/));

  testStep((input, out) => applyPresencePenalty(input, [0, 1, 1], 0.4, out));
});
