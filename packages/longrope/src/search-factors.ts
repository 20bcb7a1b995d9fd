import { expectKnownOptions, Phi3Error } from '@phiblocks/tensor';
import type { ContextExtension } from './context-extension.ts';
import { crossOver, type Individual, mutate } from './factor-search-individuals.ts';
import { type FactorSearchOptions, type FactorSearchSettings, factorSearchSettings } from './factor-search-options.ts';
import { checkFactorSearchState, type EvaluatedFactors, type FactorSearchState } from './factor-search-state.ts';
import { createSeededRandom } from './seeded-random.ts';

/**
 * What a search makes small: as a rule the perplexity at the target length of a model with these factors in its long list.
 * Any finite number will do. It should be a function of the factors alone: a resumed search does not ask again.
 */
export type FactorObjective = (factors: readonly number[]) => number | Promise<number>;

export interface FactorSearchRun {
  /**
   * Told after every evaluation, and awaited: the place to write `state` to a file. Evaluations from a resumed state are
   * not told again.
   */
  readonly onProgress?: ((progress: FactorSearchProgress) => void | Promise<void>) | undefined;
  /** Stops the search between two evaluations with `ABORTED`. */
  readonly signal?: AbortSignal | undefined;
}

export interface FactorSearchProgress {
  /** 0 is the first population. */
  readonly iteration: number;
  readonly iterations: number;
  /** Evaluations so far, and how many a search that runs to its end will have made. */
  readonly evaluations: number;
  readonly plannedEvaluations: number;
  /** What was evaluated just now. */
  readonly factors: readonly number[];
  readonly perplexity: number;
  /** The lowest so far. */
  readonly bestFactors: readonly number[];
  readonly bestPerplexity: number;
  readonly state: FactorSearchState;
}

export interface FactorSearchResult {
  /** R/2 factors of the lowest perplexity, non-decreasing, each at least 1 and on the grid. */
  readonly factors: readonly number[];
  readonly perplexity: number;
  /** `exhausted`: nothing new was left to propose before the iterations were done. */
  readonly finished: 'iterations' | 'exhausted';
  /** The best after each iteration (`iteration`, `evaluations` so far, `perplexity`); it never rises. Entry 0 is the first population. */
  readonly curve: readonly { readonly iteration: number; readonly evaluations: number; readonly perplexity: number }[];
  readonly state: FactorSearchState;
}

/**
 * Searches the factors of LongRoPE by evolution: the best of each population survive, the others make room for mutations
 * and crossovers of them. Factors lie on a grid from 1 up, and never fall from one pair to the next.
 *
 * The same seed and objective give the same answer on every machine, also over interruptions: see {@link resumeFactorSearch}.
 * No list of factors is evaluated twice. Defaults are those of the published code, 1,344 evaluations.
 *
 * It differs from the published code in the first individuals, which are rounded to the grid; in `dim_piece_mono`, whose
 * published loop never varies the last two factors; and in its random numbers.
 *
 * Source: LongRoPE, arXiv:2402.13753; microsoft/LongRoPE, commit c9e56aa5.
 *
 * @param objective - what to make small; may be asynchronous; its errors end the search
 * @param extension - model and target length
 * @param options - what differs from the published search
 * @param run - progress and abort
 * @throws ArgumentError `ARGUMENT` for a value outside its range; Phi3Error `OPTION_UNKNOWN`; `LR_SEARCH_OBJECTIVE` for an
 * answer that is not finite; `ABORTED`
 * @example
 * const extension = { headDim: 6, ropeTheta: 10000, originalMaxPositionEmbeddings: 256, targetLength: 2048 };
 * const distance = ([a, b, c]) => (a - 1.5) ** 2 + (b - 3) ** 2 + (c - 7) ** 2;
 * const { perplexity } = await searchFactors(distance, extension, { iterations: 20 });
 * perplexity < 0.05; // => true
 */
export async function searchFactors(
  objective: FactorObjective,
  extension: ContextExtension,
  options: FactorSearchOptions = {},
  run: FactorSearchRun = {},
): Promise<FactorSearchResult> {
  return search('searchFactors', objective, factorSearchSettings(extension, options), [], run);
}

/**
 * Goes on with a search that was interrupted, and ends as it would have ended.
 *
 * The individuals of the state are proposed again from its seed, and compared with what the state says: a state that was
 * changed, or that another version made, is found out.
 *
 * @param objective - the same as before
 * @param state - a {@link FactorSearchProgress.state}, as it was or read back from JSON
 * @param run - progress and abort
 * @throws Phi3Error `LR_SEARCH_STATE`; otherwise as {@link searchFactors}
 * @example
 * const extension = { headDim: 4, ropeTheta: 10000, originalMaxPositionEmbeddings: 256, targetLength: 2048 };
 * const objective = ([a, b]) => Math.abs(a - 2) + Math.abs(b - 5);
 * const states = [];
 * const whole = await searchFactors(objective, extension, { iterations: 3 }, { onProgress: ({ state }) => { states.push(state); } });
 * const resumed = await resumeFactorSearch(objective, JSON.parse(JSON.stringify(states[70])));
 * resumed.perplexity === whole.perplexity; // => true
 */
export async function resumeFactorSearch(
  objective: FactorObjective,
  state: FactorSearchState,
  run: FactorSearchRun = {},
): Promise<FactorSearchResult> {
  const { settings, evaluated } = checkFactorSearchState('resumeFactorSearch', state);
  return search('resumeFactorSearch', objective, settings, evaluated, run);
}

interface Scored extends Individual {
  readonly perplexity: number;
}

async function search(
  functionName: string,
  objective: FactorObjective,
  settings: FactorSearchSettings,
  before: readonly EvaluatedFactors[],
  run: FactorSearchRun,
): Promise<FactorSearchResult> {
  expectKnownOptions(functionName, run, ['onProgress', 'signal']);
  const random = createSeededRandom(settings.seed);
  const proposed = new Set<string>();
  const isNew = (steps: readonly number[]): boolean => !proposed.has(steps.join());
  const evaluated: EvaluatedFactors[] = [];
  const { populationSize, iterations, parentsSize, mutationSize, crossoverSize } = settings;
  const plannedEvaluations = populationSize + iterations * (mutationSize + crossoverSize);
  let best: Scored | undefined;

  const stateNow = (): FactorSearchState => ({
    format: 'phiblocks-factor-search-1',
    settings,
    evaluated: [...evaluated],
  });

  async function evaluate(individual: Individual, iteration: number): Promise<Scored> {
    const { steps } = individual;
    const known = before[evaluated.length];
    if (known !== undefined && known.steps.join() !== steps.join()) {
      throw new Phi3Error({
        code: 'LR_SEARCH_STATE',
        function: functionName,
        argument: 'state',
        expected: `the steps ${steps.join()}, which the seed proposes here`,
        got: known.steps,
        where: { key: `evaluated[${evaluated.length}].steps` },
        hint: 'The state was changed, or comes from another version of the search.',
      });
    }
    const factors = factorsOf(settings, steps);
    const perplexity = known?.perplexity ?? (await ask(functionName, objective, factors, run.signal));
    const scored = { ...individual, perplexity };
    evaluated.push({ steps, perplexity });
    if (best === undefined || perplexity < best.perplexity) best = scored;
    if (known === undefined) {
      await run.onProgress?.({
        iteration,
        iterations,
        evaluations: evaluated.length,
        plannedEvaluations,
        factors,
        perplexity,
        bestFactors: factorsOf(settings, best.steps),
        bestPerplexity: best.perplexity,
        state: stateNow(),
      });
    }
    return scored;
  }

  /** Proposes up to `count` individuals first and evaluates them then, so that proposals do not depend on their scores. */
  async function evaluateNew(
    count: number,
    propose: (index: number) => Individual | undefined,
    iteration: number,
  ): Promise<{ scored: Scored[]; isExhausted: boolean }> {
    const individuals: Individual[] = [];
    for (let index = 0; index < count; index++) {
      const individual = propose(index);
      if (individual === undefined) break;
      proposed.add(individual.steps.join());
      individuals.push(individual);
    }
    const scored: Scored[] = [];
    for (const individual of individuals) scored.push(await evaluate(individual, iteration));
    return { scored, isExhausted: individuals.length < count };
  }

  const curve: { iteration: number; evaluations: number; perplexity: number }[] = [];
  const starts: Individual[] = settings.start.map((steps) => ({ steps, piece: [0, 0] }));
  const first = await evaluateNew(
    populationSize,
    (index) => starts[index] ?? mutate(starts[index % starts.length]!, settings, random, isNew),
    0,
  );
  let population = first.scored;
  let isExhausted = first.isExhausted;
  curve.push({ iteration: 0, evaluations: evaluated.length, perplexity: best!.perplexity });

  for (let iteration = 1; iteration <= iterations && !isExhausted; iteration++) {
    // Sorting is stable: of equals the earlier one survives.
    const parents = population.sort((a, b) => a.perplexity - b.perplexity).slice(0, parentsSize);
    const children = await evaluateNew(
      mutationSize + crossoverSize,
      (index) => {
        if (index < mutationSize || parents.length === 1) {
          return mutate(parents[random.nextInteger(parents.length)]!, settings, random, isNew);
        }
        const one = random.nextInteger(parents.length);
        const shifted = random.nextInteger(parents.length - 1);
        const other = shifted >= one ? shifted + 1 : shifted;
        const better = parents[Math.min(one, other)]!;
        return (
          crossOver(better, parents[Math.max(one, other)]!, settings, random, isNew) ??
          mutate(better, settings, random, isNew)
        );
      },
      iteration,
    );
    population = [...parents, ...children.scored];
    isExhausted = children.isExhausted;
    curve.push({ iteration, evaluations: evaluated.length, perplexity: best!.perplexity });
  }
  if (before.length > evaluated.length) {
    throw new Phi3Error({
      code: 'LR_SEARCH_STATE',
      function: functionName,
      argument: 'state',
      expected: `at most the ${evaluated.length} evaluations that the search makes`,
      got: before.length,
      where: { key: 'evaluated' },
    });
  }
  return {
    factors: factorsOf(settings, best!.steps),
    perplexity: best!.perplexity,
    finished: isExhausted ? 'exhausted' : 'iterations',
    curve,
    state: stateNow(),
  };
}

async function ask(
  functionName: string,
  objective: FactorObjective,
  factors: readonly number[],
  signal: AbortSignal | undefined,
): Promise<number> {
  if (signal?.aborted) {
    throw new Phi3Error({
      code: 'ABORTED',
      function: functionName,
      hint: 'The last state that was reported can be resumed.',
      cause: signal.reason,
    });
  }
  const answer = await objective(factors);
  if (Number.isFinite(answer)) return answer;
  throw new Phi3Error({
    code: 'LR_SEARCH_OBJECTIVE',
    function: functionName,
    argument: 'objective',
    expected: 'a finite number',
    got: answer,
  });
}

/** 1 + steps · listStep, without the dust of binary fractions: 1.07 and not 1.0700000000000001. */
function factorsOf({ listStep }: FactorSearchSettings, steps: readonly number[]): number[] {
  return steps.map((count) => Number((1 + count * listStep).toPrecision(12)));
}
