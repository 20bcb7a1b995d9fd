import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keptIds, testStep } from '../test/step-properties.ts';
import { applyLogitBias, type LogitBias } from './apply-logit-bias.ts';
import { applyMinNewTokens } from './apply-min-new-tokens.ts';
import { applyNoRepeatNgram } from './apply-no-repeat-ngram.ts';

describe('applyNoRepeatNgram', () => {
  it('no n-gram comes twice, and a token is ruled out only when it would make one', () => {
    const ids = fc.array(fc.nat(3), { maxLength: 24 });
    fc.assert(
      fc.property(ids, ids, fc.integer({ min: 1, max: 4 }), (promptIds, generatedIds, size) => {
        const all = [...promptIds, ...generatedIds];
        const grams = new Set(
          all.map((_, i) => all.slice(i, i + size).join()).slice(0, Math.max(0, all.length - size + 1)),
        );
        const allowed = [0, 1, 2, 3].filter(
          (id) => all.length + 1 < size || !grams.has([...all, id].slice(-size).join()),
        );
        expect(keptIds(applyNoRepeatNgram(new Float32Array(4), { promptIds, generatedIds }, size))).toEqual(allowed);
      }),
      { seed: 2 },
    );
  });

  it('by hand: pairs, over the border between prompt and answer', () => {
    expect(keptIds(applyNoRepeatNgram(new Float32Array(4), { promptIds: [1, 2], generatedIds: [3, 2] }, 2))).toEqual([
      0, 1, 2,
    ]);
    expect(keptIds(applyNoRepeatNgram(new Float32Array(4), { promptIds: [1, 2], generatedIds: [] }, 1))).toEqual([
      0, 3,
    ]);
  });

  it('passes over negative ids and rejects others outside the vocabulary', () => {
    expect(keptIds(applyNoRepeatNgram(new Float32Array(2), { promptIds: [-1, -1], generatedIds: [] }, 1))).toEqual([
      0, 1,
    ]);
    expect(() => applyNoRepeatNgram(new Float32Array(2), { promptIds: [5], generatedIds: [] }, 1)).toThrow(
      'ARGUMENT applyNoRepeatNgram(history[0]): expected a token id from 0 to 1, got 5',
    );
    expect(() => applyNoRepeatNgram(new Float32Array(2), { promptIds: [], generatedIds: [] }, 1.5)).toThrow(
      /^ARGUMENT/,
    );
  });

  testStep((logits, out) => applyNoRepeatNgram(logits, { promptIds: [0, 1], generatedIds: [0] }, 2, out));
});

describe('applyLogitBias', () => {
  it('adds, from a map and from a record', () => {
    const logits = Float32Array.of(1, 2, 3);
    const expected = Float32Array.of(1, 2.5, -Infinity);
    expect(
      applyLogitBias(
        logits,
        new Map([
          [1, 0.5],
          [2, -Infinity],
        ]),
      ),
    ).toEqual(expected);
    expect(applyLogitBias(logits, { 1: 0.5, 2: -Infinity })).toEqual(expected);
  });

  it('does not bring back a token that is ruled out', () =>
    expect(applyLogitBias(Float32Array.of(-Infinity, 0), { 0: 100 })[0]).toBe(-Infinity));

  it('rejects ids and numbers that cannot be meant', () => {
    const logits = new Float32Array(3);
    expect(() => applyLogitBias(logits, { 3: 1 })).toThrow(
      'ARGUMENT applyLogitBias(bias[3]): expected a token id from 0 to 2, got 3',
    );
    for (const bias of [
      { '-1': 1 },
      { '1e0': 1 },
      { '': 1 },
      { 0.5: 1 },
      new Map([[0.5, 1]]),
      { 0: Number.NaN },
      { 0: Infinity },
    ]) {
      expect(() => applyLogitBias(logits, bias as LogitBias)).toThrow(/^ARGUMENT applyLogitBias/);
    }
    expect(() => applyLogitBias(logits, [1, 2])).toThrow(/^ARGUMENT applyLogitBias\(bias\)/);
    expect(() => applyLogitBias(Float32Array.of(3e38), { 0: 3e38 })).toThrow(/^NUM_NAN/);
  });

  testStep((logits, out) => applyLogitBias(logits, { 0: 1, 2: -2 }, out));
});

describe('applyMinNewTokens', () => {
  it('rules end tokens out below the length and not from there on', () => {
    const logits = Float32Array.of(1, 2, 3, 4);
    expect(keptIds(applyMinNewTokens(logits, 0, 2, [1, 3]))).toEqual([0, 2]);
    expect(keptIds(applyMinNewTokens(logits, 1, 2, [1, 3]))).toEqual([0, 2]);
    expect(keptIds(applyMinNewTokens(logits, 2, 2, [1, 3]))).toEqual([0, 1, 2, 3]);
  });

  it('rejects ids outside the vocabulary and counts that are none', () => {
    expect(() => applyMinNewTokens(new Float32Array(2), 0, 1, [2])).toThrow(
      /^ARGUMENT applyMinNewTokens\(eosTokenIds\[0\]\)/,
    );
    expect(() => applyMinNewTokens(new Float32Array(2), 0, -1, [1])).toThrow(
      /^ARGUMENT applyMinNewTokens\(minNewTokens\)/,
    );
  });

  testStep((logits, out) => applyMinNewTokens(logits, 0, 1, [1], out));
});
