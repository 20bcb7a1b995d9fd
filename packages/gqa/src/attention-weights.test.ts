import { expectClose } from '@phiblocks/testing';
import { describe, expect, it } from 'vitest';
import { attentionByDefinition, randomTensor } from '../test/attention-definition.ts';
import { attentionWeights } from './attention-weights.ts';
import { groupedQueryAttention } from './grouped-query-attention.ts';

const oneRounding = { relative: 2 ** -23, absolute: 1e-12, reason: 'one rounding to float32' };

describe('attentionWeights', () => {
  const query = randomTensor(1, 6, 8);
  const keys = randomTensor(2, 30, 2, 8);
  const scale = 1 / Math.sqrt(8);

  it.each([
    [undefined, undefined, undefined],
    [12, undefined, undefined],
    [0, 3, undefined],
    [12, 5, 'exclusive'],
    [12, 5, 'inclusive'],
  ] as const)('position %s, window %s, %s: the definition', (position, slidingWindow, windowBound) => {
    const own = position ?? 29;
    const reach = slidingWindow === undefined ? 30 : slidingWindow - (windowBound === 'inclusive' ? 0 : 1);
    const { weights } = attentionByDefinition({
      queries: { data: query.data, shape: [1, 6, 8] },
      keys,
      values: keys,
      scale,
      queryStart: own,
      sees: (i, j) => j <= i && i - j <= reach,
    });
    const actual = attentionWeights({ query, keys, scale, position, slidingWindow, windowBound });
    expect(actual.shape).toEqual([6, 30]);
    expectClose(actual.data, weights, oneRounding);
    for (let h = 0; h < 6; h++) {
      for (let j = 0; j < 30; j++) expect(actual.data[30 * h + j] === 0).toBe(j > own || own - j > reach);
    }
  });

  it('weighing the values gives what groupedQueryAttention gives', () => {
    const values = randomTensor(3, 30, 2, 8);
    const weights = attentionWeights({ query, keys, scale }).data;
    const expected = groupedQueryAttention({
      queries: { data: query.data, shape: [1, 6, 8] },
      keys,
      values,
      scale,
    }).data;
    const summed = expected.map((_, at) => {
      const [h, d] = [Math.floor(at / 8), at % 8];
      let sum = 0;
      for (let j = 0; j < 30; j++) sum += weights[30 * h + j]! * values.data[(2 * j + Math.floor(h / 3)) * 8 + d]!;
      return sum;
    });
    expectClose(summed, expected, { absolute: 4 * 2 ** -23, reason: 'weights rounded to float32, values below 4' });
  });

  it('rejects what does not fit', () => {
    const rejected = (change: object, code: string, argument: string) =>
      expect(() => attentionWeights({ query, keys, scale, ...change })).toThrow(
        expect.objectContaining({ code, argument, function: 'attentionWeights' }),
      );
    rejected({ query: randomTensor(1, 1, 6, 8) }, 'SHAPE', 'options.query');
    rejected({ keys: randomTensor(1, 30, 4, 8) }, 'SHAPE', 'options.keys');
    for (const position of [-1, 30, 1.5, Number.NaN]) rejected({ position }, 'ARGUMENT', 'options.position');
    rejected({ keys: randomTensor(1, 0, 2, 8) }, 'ARGUMENT', 'options.position');
    rejected({ scale: Number.NaN }, 'ARGUMENT', 'options.scale');
    rejected({ slidingWindow: 0 }, 'ARGUMENT', 'options.slidingWindow');
    rejected({ out: keys }, 'OPTION_UNKNOWN', 'out');
  });
});
