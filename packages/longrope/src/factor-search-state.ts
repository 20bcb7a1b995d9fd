import { Phi3Error } from '@phiblocks/tensor';
import type { FactorSearchSettings } from './factor-search-options.ts';

/**
 * A factor search as far as it is: plain JSON, to be kept in a file after every evaluation.
 *
 * It holds what was asked and what the objective answered. All else follows from the seed, and is computed again when the
 * search is resumed.
 */
export interface FactorSearchState {
  readonly format: 'phiblocks-factor-search-1';
  readonly settings: FactorSearchSettings;
  /** In the order of evaluation. */
  readonly evaluated: readonly EvaluatedFactors[];
}

/** An individual and what the objective gave for it. */
export interface EvaluatedFactors {
  /** Steps above 1 of every factor: factor i is 1 + steps[i] · listStep. */
  readonly steps: readonly number[];
  readonly perplexity: number;
}

/**
 * Checks a state that came from a file.
 *
 * @throws Phi3Error `LR_SEARCH_STATE` naming what is wrong
 */
export function checkFactorSearchState(functionName: string, value: unknown): FactorSearchState {
  expectState(functionName, value);
  return value as FactorSearchState;
}

function expectState(functionName: string, value: unknown): void {
  function fail(key: string, expected: string, got: unknown): never {
    throw new Phi3Error({
      code: 'LR_SEARCH_STATE',
      function: functionName,
      argument: 'state',
      expected,
      got,
      where: { key },
    });
  }
  const isObject = (one: unknown): one is Record<string, unknown> =>
    typeof one === 'object' && one !== null && !Array.isArray(one);
  const isCount = (one: unknown, least: number, most: number): one is number =>
    Number.isInteger(one) && (one as number) >= least && (one as number) <= most;

  if (!isObject(value)) fail('', 'an object', value);
  if (value.format !== 'phiblocks-factor-search-1') fail('format', 'phiblocks-factor-search-1', value.format);
  const { settings, evaluated } = value;
  if (!isObject(settings)) fail('settings', 'an object', settings);
  if (settings.variant !== 'dim_mono' && settings.variant !== 'dim_piece_mono') {
    fail('settings.variant', 'dim_mono or dim_piece_mono', settings.variant);
  }
  if (!isCount(settings.seed, 0, Number.MAX_SAFE_INTEGER)) fail('settings.seed', 'a seed', settings.seed);
  for (const name of countNames) {
    if (!isCount(settings[name], 1, 1_000_000)) fail(`settings.${name}`, 'a count from 1 to 1000000', settings[name]);
  }
  const { listStep, maxSteps, scaleSteps, start } = settings;
  if (typeof listStep !== 'number' || !(listStep > 0 && listStep <= 1)) {
    fail('settings.listStep', 'a number above 0 and up to 1', listStep);
  }
  if (!isCount(maxSteps, 1, 2 ** 31 - 1)) fail('settings.maxSteps', 'a whole number from 1', maxSteps);
  if (!isCount(scaleSteps, 0, maxSteps)) fail('settings.scaleSteps', `a whole number to ${maxSteps}`, scaleSteps);
  const populationSize = settings.populationSize as number;
  if (!Array.isArray(start) || !isCount(start.length, 1, populationSize)) {
    fail('settings.start', `1 to ${populationSize} lists`, start);
  }
  if ((settings.parentsSize as number) > populationSize) {
    fail('settings.parentsSize', `at most ${populationSize}`, settings.parentsSize);
  }
  const numFrequencies = Array.isArray(start[0]) ? start[0].length : 0;
  if (numFrequencies < 2) fail('settings.start[0]', 'at least 2 steps', start[0]);
  const isSteps = (one: unknown): one is number[] =>
    Array.isArray(one) &&
    one.length === numFrequencies &&
    one.every((step, i) => isCount(step, i === 0 ? 0 : one[i - 1], maxSteps));
  const expectedSteps = `${numFrequencies} whole numbers to ${maxSteps} that do not fall`;
  for (const [i, list] of start.entries()) if (!isSteps(list)) fail(`settings.start[${i}]`, expectedSteps, list);
  if (!Array.isArray(evaluated)) fail('evaluated', 'an array', evaluated);
  for (const [i, one] of evaluated.entries()) {
    if (!isObject(one)) fail(`evaluated[${i}]`, 'an object', one);
    if (!isSteps(one.steps)) fail(`evaluated[${i}].steps`, expectedSteps, one.steps);
    if (!Number.isFinite(one.perplexity)) fail(`evaluated[${i}].perplexity`, 'a finite number', one.perplexity);
  }
}

const countNames = [
  'populationSize',
  'iterations',
  'parentsSize',
  'mutationSize',
  'crossoverSize',
  'maxCrossoverTries',
] as const;
