import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { perplexity } from './perplexity.ts';

/**
 * A model whose log probability of a token depends on everything it sees: -1/(1 + tokens before it) - id/100. How much it saw
 * can be read from its answer.
 */
function countingModel(contextLength: number) {
  const windows: number[] = [];
  return {
    windows,
    contextLength,
    logProbabilities: async (ids: Int32Array, from: number) => {
      expect(ids.length).toBeLessThanOrEqual(contextLength);
      expect(from).toBeGreaterThanOrEqual(1);
      windows.push(ids.length);
      return Float64Array.from({ length: ids.length - from }, (_, i) => -1 / (1 + from + i) - ids[from + i]! / 100);
    },
  };
}

describe('perplexity', () => {
  it('by hand: three windows over seven tokens', async () => {
    // Windows of 4 moving by 2 score positions 1-3, 4-5 (seeing 2 and 3) and 6 (seeing 3).
    const ids = Int32Array.from({ length: 7 }, () => 0);
    const expected = 1 / 2 + 1 / 3 + 1 / 4 + (1 / 3 + 1 / 4) + 1 / 4;
    const result = await perplexity(countingModel(4), ids, { stride: 2 });
    expect(result).toMatchObject({ scoredTokens: 6, tokens: 7, tokensInText: 7, windows: 3 });
    expect(result.negativeLogLikelihood).toBeCloseTo(expected, 12);
    expect(result.perplexity).toBeCloseTo(Math.exp(expected / 6), 12);
  });

  it('scores every token but the first exactly once, with as much before it as window and stride promise', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 2, max: 90 }),
        fc.integer({ min: 2, max: 30 }),
        fc.integer({ min: 1, max: 29 }),
        async (length, contextLength, step) => {
          const stride = Math.min(step, contextLength - 1);
          const seen = new Map<number, number>();
          const model = {
            contextLength,
            logProbabilities: async (ids: Int32Array, from: number) => {
              for (let i = from; i < ids.length; i++) {
                expect(seen.has(ids[i]!)).toBe(false);
                seen.set(ids[i]!, i);
              }
              return new Float64Array(ids.length - from);
            },
          };
          const result = await perplexity(
            model,
            Int32Array.from({ length }, (_, i) => i),
            { stride },
          );
          expect([...seen.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: length - 1 }, (_, i) => i + 1));
          for (const [position, before] of seen) {
            expect(before).toBeGreaterThanOrEqual(Math.min(position, contextLength - stride));
          }
          expect(result.scoredTokens).toBe(length - 1);
          expect(result.perplexity).toBe(1);
        },
      ),
      { seed: 3, numRuns: 100 },
    );
  });

  it('reads only as much as it may, and says how much there was', async () => {
    const result = await perplexity(countingModel(8), new Int32Array(50), { maxTokens: 20 });
    expect(result).toMatchObject({ scoredTokens: 19, tokens: 20, tokensInText: 50 });
  });

  it('one window when the text fits', async () => {
    const model = countingModel(64);
    await perplexity(model, new Int32Array(64));
    expect(model.windows).toEqual([64]);
  });

  it('encodes text with the model', async () => {
    const model = { ...countingModel(8), encode: (text: string) => new Int32Array(text.length) };
    expect((await perplexity(model, 'abcde')).tokens).toBe(5);
    await expect(perplexity(countingModel(8), 'abcde')).rejects.toMatchObject({ code: 'ARGUMENT', argument: 'text' });
  });

  it('tells its progress, and stops when told to', async () => {
    const controller = new AbortController();
    const seen: number[] = [];
    const run = perplexity(countingModel(4), new Int32Array(20), {
      stride: 2,
      signal: controller.signal,
      onProgress: ({ done, total }) => {
        expect(total).toBe(20);
        seen.push(done);
        if (done >= 8) controller.abort();
      },
    });
    await expect(run).rejects.toMatchObject({ code: 'ABORTED' });
    expect(seen).toEqual([4, 6, 8]);
  });

  it('rejects what cannot be meant', async () => {
    const run = (options: object, length = 10) => perplexity(countingModel(8), new Int32Array(length), options);
    for (const options of [
      { contextLength: 9 },
      { contextLength: 1 },
      { stride: 0 },
      { stride: 8 },
      { contextLength: 4, stride: 4 },
      { maxTokens: 1 },
    ]) {
      await expect(run(options), JSON.stringify(options)).rejects.toMatchObject({ code: 'ARGUMENT' });
    }
    await expect(run({}, 1)).rejects.toMatchObject({ code: 'EV_TEXT', got: 1 });
    await expect(run({ window: 3 })).rejects.toMatchObject({ code: 'OPTION_UNKNOWN' });
  });
});
