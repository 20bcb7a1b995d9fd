import { isPhi3Error } from '@phiblocks/tensor';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { yarnLikeFactors } from './closed-form-factors.ts';
import { type FactorSearchOptions, factorSearchSettings } from './factor-search-options.ts';
import type { FactorSearchState } from './factor-search-state.ts';
import { type FactorSearchProgress, resumeFactorSearch, searchFactors } from './search-factors.ts';
import { createSeededRandom } from './seeded-random.ts';

const extension = { headDim: 16, ropeTheta: 10000, originalMaxPositionEmbeddings: 256, targetLength: 2048 };
const optimum = [1, 1.2, 1.9, 3.3, 4.1, 5, 7.5, 8.4];

/** Zero at the optimum, which lies on the grid, and convex in every factor. */
const distance = (factors: readonly number[]): number =>
  factors.reduce((sum, factor, i) => sum + Math.abs(Math.log(factor / optimum[i]!)), 0);

const small: FactorSearchOptions = {
  populationSize: 12,
  iterations: 6,
  parentsSize: 6,
  mutationSize: 4,
  crossoverSize: 4,
};

async function record(options: FactorSearchOptions, objective = distance) {
  const seen: FactorSearchProgress[] = [];
  const result = await searchFactors(objective, extension, options, {
    onProgress: (progress) => {
      seen.push(progress);
    },
  });
  return { result, seen };
}

const variants = ['dim_mono', 'dim_piece_mono'] as const;

describe('searchFactors', () => {
  it('with the published defaults makes 64 + 40 · 32 evaluations and comes close to a known optimum', async () => {
    const { result, seen } = await record({});
    expect(seen.length).toBe(1344);
    expect(seen[0]!.plannedEvaluations).toBe(1344);
    expect(result.finished).toBe('iterations');
    expect(result.curve.map(({ evaluations }) => evaluations)).toEqual(
      Array.from({ length: 41 }, (_, i) => 64 + 32 * i),
    );
    // The start lies 4.0 away; random lists of the first population about as far.
    const start = distance(seen[0]!.factors);
    expect(start).toBeGreaterThan(1.5);
    expect(result.perplexity).toBeLessThan(start / 8);
  });

  it.each(variants)('%s: starts at the YaRN-like list on the grid', async (variant) => {
    const { seen } = await record({ ...small, variant });
    const first = yarnLikeFactors(extension).map((factor) => expect.closeTo(Math.round(factor * 100) / 100, 12));
    expect(seen[0]!.factors).toEqual(first);
  });

  it.each(variants)(
    '%s: every list is on the grid, at least 1, at most 1 + s, non-decreasing, and new',
    async (variant) => {
      await fc.assert(
        fc.asyncProperty(fc.nat(1_000_000), fc.constantFrom('yarn-like', 'all'), async (seed, start) => {
          const { seen } = await record({ ...small, variant, seed, start: start as 'all' });
          const lists = new Set<string>();
          for (const { factors } of seen) {
            lists.add(factors.join());
            expect(factors.length).toBe(8);
            for (const [i, factor] of factors.entries()) {
              expect(factor).toBeGreaterThanOrEqual(i === 0 ? 1 : factors[i - 1]!);
              expect(factor).toBeLessThanOrEqual(9);
              // Twelve significant digits are kept.
              expect(Math.abs(factor * 100 - Math.round(factor * 100))).toBeLessThan(1e-9);
            }
          }
          expect(lists.size).toBe(seen.length);
        }),
        { seed: 1, numRuns: 25 },
      );
    },
  );

  it.each(variants)('%s: the best never rises, and is the lowest of all that were evaluated', async (variant) => {
    const { result, seen } = await record({ ...small, variant, iterations: 15 });
    for (let i = 1; i < result.curve.length; i++) {
      expect(result.curve[i]!.perplexity).toBeLessThanOrEqual(result.curve[i - 1]!.perplexity);
    }
    expect(result.perplexity).toBe(Math.min(...seen.map(({ perplexity }) => perplexity)));
    expect(distance(result.factors)).toBe(result.perplexity);
    expect(seen.at(-1)!.bestFactors).toEqual(result.factors);
  });

  it('dim_piece_mono keeps 1 in front and puts s behind β; dim_mono does neither', async () => {
    const childrenOf = async (variant: 'dim_mono' | 'dim_piece_mono') =>
      (await record({ ...small, variant, start: [optimum] })).seen.slice(1, 12).map(({ factors }) => factors);
    const piece = await childrenOf('dim_piece_mono');
    for (const factors of piece) {
      expect(factors[0]).toBe(1);
      // β is at least 1, so that the first pair that can be s is pair 2.
      const firstAtScale = factors.indexOf(8);
      if (firstAtScale >= 2) expect(factors.at(-1)).toBeGreaterThanOrEqual(8);
    }
    expect(piece.some((factors) => factors[6] === 8 && factors[7] === 8)).toBe(true);
    const mono = await childrenOf('dim_mono');
    expect(mono.some((factors) => factors[7]! !== 8)).toBe(true);
  });

  it('from all baselines it evaluates each of them first and is never worse than the best of them', async () => {
    const { result, seen } = await record({ ...small, start: 'all' });
    expect(seen.slice(0, 5).map(({ factors }) => factors)).toContainEqual(new Array(8).fill(1));
    expect(seen.slice(0, 5).map(({ factors }) => factors)).toContainEqual(new Array(8).fill(8));
    expect(result.perplexity).toBeLessThanOrEqual(Math.min(...seen.slice(0, 5).map(({ perplexity }) => perplexity)));
  });

  it('starts from lists of the caller, once each', async () => {
    const { seen } = await record({ ...small, start: [optimum, new Array(8).fill(2), optimum] });
    expect(seen[0]).toMatchObject({ factors: optimum, perplexity: 0 });
    expect(seen[1]!.factors).toEqual(new Array(8).fill(2));
    expect(seen[2]!.factors).not.toEqual(optimum);
  });

  it('the same seed gives the same search, another seed another one', async () => {
    const run = async (seed: number) => (await record({ ...small, seed })).seen.map(({ factors }) => factors);
    expect(await run(7)).toEqual(await run(7));
    expect(await run(8)).not.toEqual(await run(7));
    expect(await run(2 ** 32 + 7)).not.toEqual(await run(7));
  });

  it('gives these factors for this seed on every machine', async () => {
    const { result } = await record({ ...small, seed: 3 });
    expect({ factors: result.factors, evaluations: result.state.evaluated.length }).toMatchInlineSnapshot(`
      {
        "evaluations": 60,
        "factors": [
          1,
          1.28,
          2.38,
          4.74,
          6.09,
          7.1,
          7.36,
          8.42,
        ],
      }
    `);
  });

  it('awaits an asynchronous objective, one at a time', async () => {
    let running = 0;
    const { result } = await record(small, (async (factors: readonly number[]) => {
      expect(++running).toBe(1);
      await Promise.resolve();
      running--;
      return distance(factors);
    }) as never);
    expect(result.perplexity).toBe((await record(small)).result.perplexity);
  });

  it('ends early where nothing new is left on the grid', async () => {
    const tiny = { headDim: 4, ropeTheta: 10000, originalMaxPositionEmbeddings: 256, targetLength: 512 };
    const seen = new Set<string>();
    const result = await searchFactors(
      (factors) => {
        seen.add(factors.join());
        return factors[0]! + factors[1]!;
      },
      tiny,
      { listStep: 1, populationSize: 6, parentsSize: 3 },
    );
    expect(result.finished).toBe('exhausted');
    // A grid of 1, 2, 3 has six non-decreasing pairs. The first factor stays below the second when it moves.
    expect(seen.size).toBeLessThanOrEqual(6);
    expect(result).toMatchObject({ factors: [1, 1], perplexity: 2 });
  });
});

describe('an interrupted search', () => {
  it.each(variants)('%s: ends as the whole one from every point, through JSON', async (variant) => {
    const { result, seen } = await record({ ...small, variant });
    for (const { state, evaluations } of seen) {
      let asked = 0;
      const resumed = await resumeFactorSearch(
        (factors) => {
          asked++;
          return distance(factors);
        },
        JSON.parse(JSON.stringify(state)) as FactorSearchState,
      );
      expect(resumed).toEqual(result);
      expect(asked).toBe(seen.length - evaluations);
    }
  });

  it('is stopped between evaluations by its signal, and by errors of its objective', async () => {
    const whole = await record(small);
    for (const point of [0, 1, 11, 12, 13, 40]) {
      const controller = new AbortController();
      let last: FactorSearchState | undefined;
      let asked = 0;
      const stopped = searchFactors(
        (factors) => {
          if (asked++ === point) controller.abort(new Error('enough'));
          return distance(factors);
        },
        extension,
        small,
        {
          signal: controller.signal,
          onProgress: ({ state }) => {
            last = state;
          },
        },
      );
      await expect(stopped).rejects.toMatchObject({ code: 'ABORTED', cause: { message: 'enough' } });
      expect(last!.evaluated.length).toBe(point + 1);
      expect(await resumeFactorSearch(distance, last!)).toEqual(whole.result);
    }
    const broken = searchFactors(() => Promise.reject(new Error('no memory')), extension, small);
    await expect(broken).rejects.toThrow('no memory');
  });

  it('is not taken up from a state that was changed or is none', async () => {
    const { seen } = await record(small);
    const state = seen[20]!.state;
    const resume = (value: unknown) => resumeFactorSearch(distance, value as FactorSearchState);
    const settings = (change: object) => ({ ...state, settings: { ...state.settings, ...change } });
    const moved = state.evaluated.map((one, i) => (i === 5 ? { ...one, steps: one.steps.map(() => 3) } : one));
    const bad = [
      null,
      [],
      {},
      { ...state, format: 'other' },
      { ...state, settings: null },
      { ...state, evaluated: null },
      { ...state, evaluated: [null] },
      { ...state, evaluated: moved },
      { ...state, evaluated: [{ steps: state.evaluated[0]!.steps, perplexity: null }] },
      { ...state, evaluated: [{ steps: [1, 0], perplexity: 1 }] },
      settings({ seed: -1 }),
      settings({ seed: 5 }),
      settings({ variant: 'dim' }),
      settings({ populationSize: 1e9 }),
      settings({ parentsSize: 13 }),
      settings({ listStep: 0 }),
      settings({ maxSteps: 0 }),
      settings({ scaleSteps: -1 }),
      settings({ start: [] }),
      settings({ start: [[3, 2, 1]] }),
      { ...state, evaluated: [...seen.at(-1)!.state.evaluated, state.evaluated[0]!] },
    ];
    for (const value of bad) await expect(resume(value)).rejects.toMatchObject({ code: 'LR_SEARCH_STATE' });
  });
});

describe('settings', () => {
  it('are the published defaults', () => {
    const mini = { headDim: 96, ropeTheta: 10000, originalMaxPositionEmbeddings: 4096, targetLength: 131072 };
    expect(factorSearchSettings(mini)).toMatchObject({
      variant: 'dim_mono',
      seed: 42,
      populationSize: 64,
      iterations: 40,
      parentsSize: 32,
      mutationSize: 16,
      crossoverSize: 16,
      maxCrossoverTries: 20,
      listStep: 0.01,
      maxSteps: 3200, // 33 = 1 + s
      scaleSteps: 3100,
    });
  });

  it('evoScale multiplies the counts', () => {
    expect(factorSearchSettings(extension, { evoScale: 0.25 })).toMatchObject({
      populationSize: 16,
      iterations: 10,
      parentsSize: 8,
      mutationSize: 4,
      crossoverSize: 4,
      maxCrossoverTries: 5,
    });
  });

  it('reject what cannot be meant', () => {
    const bad: FactorSearchOptions[] = [
      { variant: 'mono' as never },
      { seed: -1 },
      { seed: 2 ** 53 },
      { populationSize: 0 },
      { populationSize: 1.5 },
      { populationSize: 4, start: 'all', parentsSize: 2 },
      { parentsSize: 65 },
      { iterations: 0 },
      { mutationSize: -1 },
      { crossoverSize: Number.NaN },
      { maxCrossoverTries: 0 },
      { evoScale: 0 },
      { evoScale: 1e6 },
      { listStep: 0 },
      { listStep: 2 },
      { listStep: 1e-12 },
      { maxFactor: 7.9 },
      { maxFactor: Number.POSITIVE_INFINITY },
      { start: 'pi' as never },
      { start: [] },
      { start: [[1, 2]] },
      { start: [[0.5, 1, 1, 1, 1, 1, 1, 1]] },
      { start: [[1, 1, 1, 1, 1, 1, 1, 10]] },
      { start: [[1, 1, 1, 1, 3, 2, 3, 4]] },
      { start: [['1', 1, 1, 1, 1, 1, 1, 1] as never] },
    ];
    for (const options of bad) {
      expect(() => factorSearchSettings(extension, options), JSON.stringify(options)).toThrow(
        expect.objectContaining({ code: 'ARGUMENT', function: 'factorSearchSettings' }),
      );
    }
    for (const options of [{ population: 3 }, { yarnRamp: { beta: 1 } }] as never[]) {
      expect(() => factorSearchSettings(extension, options)).toThrow(
        expect.objectContaining({ code: 'OPTION_UNKNOWN' }),
      );
    }
  });

  it('an objective must answer with a finite number', async () => {
    for (const answer of [Number.NaN, Number.POSITIVE_INFINITY, undefined, '3']) {
      const search = searchFactors(() => answer as number, extension, small);
      await expect(search).rejects.toMatchObject({ code: 'LR_SEARCH_OBJECTIVE', got: answer });
    }
    const misspelt = searchFactors(distance, extension, small, { onprogress: () => {} } as never);
    await expect(misspelt).rejects.toSatisfy((error) => isPhi3Error(error, 'OPTION_UNKNOWN'));
  });
});

describe('the random numbers of the search', () => {
  it('are xoshiro128** as written in its paper, over 64-bit integers', () => {
    const mask = 0xffffffffn;
    const rotate = (x: bigint, k: bigint) => ((x << k) | (x >> (32n - k))) & mask;
    const imul = (a: bigint, b: bigint) => (a * b) & mask;
    for (const seed of [0, 1, 42, 2 ** 40 + 5]) {
      let z = BigInt.asUintN(32, BigInt(seed)) ^ imul(BigInt(Math.floor(seed / 2 ** 32) + 1), 0x85ebca6bn);
      const s = Array.from({ length: 4 }, () => {
        z = (z + 0x9e3779b9n) & mask;
        let w = z ^ (z >> 16n);
        w = imul(w, 0x21f0aaadn);
        w ^= w >> 15n;
        w = imul(w, 0x735a2d97n);
        return w ^ (w >> 15n);
      });
      const random = createSeededRandom(seed);
      for (let i = 0; i < 100; i++) {
        const expected = imul(rotate(imul(s[1]!, 5n), 7n), 9n);
        const t = (s[1]! << 9n) & mask;
        s[2]! ^= s[0]!;
        s[3]! ^= s[1]!;
        s[1]! ^= s[2]!;
        s[0]! ^= s[3]!;
        s[2]! ^= t;
        s[3] = rotate(s[3]!, 11n);
        expect(random.nextFloat() * 2 ** 32).toBe(Number(expected));
      }
    }
  });

  it('are uniform and about normal', () => {
    const random = createSeededRandom(1);
    const count = 20_000;
    const counts = new Array<number>(10).fill(0);
    let sum = 0;
    let squares = 0;
    for (let i = 0; i < count; i++) {
      counts[random.nextInteger(10)]!++;
      const normal = random.nextNormal();
      sum += normal;
      squares += normal ** 2;
    }
    // Five deviations of a binomial of 20,000 at 0.1, and of a mean and a variance of as many.
    for (const one of counts) expect(Math.abs(one - 2000)).toBeLessThan(5 * Math.sqrt(1800));
    expect(Math.abs(sum / count)).toBeLessThan(5 / Math.sqrt(count));
    expect(Math.abs(squares / count - 1)).toBeLessThan(5 * Math.sqrt(2 / count));
  });
});
