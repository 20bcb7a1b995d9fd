import { ArgumentError, expectKnownOptions } from '@phiblocks/tensor';
import {
  ntkFactors,
  plainFactors,
  positionInterpolationFactors,
  type YarnRamp,
  yarnFactors,
  yarnLikeFactors,
} from './closed-form-factors.ts';
import { type ContextExtension, checkExtension } from './context-extension.ts';

/**
 * How individuals vary. `dim_mono` varies every factor. `dim_piece_mono` keeps two places α < β as well: factors up to α are
 * 1, factors behind β are s, and only those between vary.
 */
export type FactorSearchVariant = 'dim_mono' | 'dim_piece_mono';

/** What a factor search may be told; without any of it, it searches as the published code does. */
export interface FactorSearchOptions {
  /** Default `dim_mono`. */
  readonly variant?: FactorSearchVariant | undefined;
  /**
   * The first individuals; the rest of the first population are mutations of them in turn. Default `yarn-like`, the one of
   * the published code. `all` is that and plain, position interpolation, NTK and YaRN. Or lists of factors of your own.
   */
  readonly start?: 'yarn-like' | 'all' | readonly (readonly number[])[] | undefined;
  /** The turns between which the YaRN-like and YaRN individuals blend. */
  readonly yarnRamp?: YarnRamp | undefined;
  /** A whole number from 0 to 2^53 - 1. Default 42. */
  readonly seed?: number | undefined;
  /** Individuals of the first population. Default 64. */
  readonly populationSize?: number | undefined;
  /** Iterations after the first population. Default 40. */
  readonly iterations?: number | undefined;
  /** Survivors of an iteration. Default 32. */
  readonly parentsSize?: number | undefined;
  /** Children by mutation in an iteration. Default 16. */
  readonly mutationSize?: number | undefined;
  /** Children by crossover in an iteration. Default 16. */
  readonly crossoverSize?: number | undefined;
  /** Sweeps before a crossover gives up and its better parent is mutated. Default 20. */
  readonly maxCrossoverTries?: number | undefined;
  /** Multiplies the four sizes, `iterations` and `maxCrossoverTries`, rounded down to at least 1. Default 1. */
  readonly evoScale?: number | undefined;
  /** Grid of the factors: 1, 1 + listStep, 1 + 2 · listStep, … Default 0.01. */
  readonly listStep?: number | undefined;
  /** The largest factor; default 1 + s, as published. The paper has 1.25 · s. */
  readonly maxFactor?: number | undefined;
}

/** A search, fully said: plain JSON, with which the same search begins anywhere. */
export interface FactorSearchSettings {
  readonly variant: FactorSearchVariant;
  readonly seed: number;
  readonly populationSize: number;
  readonly iterations: number;
  readonly parentsSize: number;
  readonly mutationSize: number;
  readonly crossoverSize: number;
  readonly maxCrossoverTries: number;
  readonly listStep: number;
  /** Where the grid ends, in steps above 1. */
  readonly maxSteps: number;
  /** s, on the grid: in steps above 1. */
  readonly scaleSteps: number;
  /** The first individuals, on the grid: steps above 1 of every factor. */
  readonly start: readonly (readonly number[])[];
}

const optionNames = [
  'variant',
  'start',
  'yarnRamp',
  'seed',
  'populationSize',
  'iterations',
  'parentsSize',
  'mutationSize',
  'crossoverSize',
  'maxCrossoverTries',
  'evoScale',
  'listStep',
  'maxFactor',
];

/** The counts of an individual's grid stay far below what a double holds. */
const mostSteps = 2 ** 31 - 1;
const mostIndividuals = 1_000_000;

/**
 * Fills in the published defaults and checks everything.
 *
 * @param extension - model and target length
 * @param options - what differs from the published search
 * @throws ArgumentError `ARGUMENT` for a value outside its range; Phi3Error `OPTION_UNKNOWN`
 * @example
 * const extension = { headDim: 96, ropeTheta: 10000, originalMaxPositionEmbeddings: 4096, targetLength: 131072 };
 * factorSearchSettings(extension).populationSize; // => 64
 */
export function factorSearchSettings(
  extension: ContextExtension,
  options: FactorSearchOptions = {},
): FactorSearchSettings {
  const { numFrequencies, scale } = checkExtension(functionName, extension);
  expectKnownOptions(functionName, options, optionNames);
  const { variant = 'dim_mono', seed = 42, evoScale = 1, listStep = 0.01, maxFactor = 1 + scale } = options;
  if (variant !== 'dim_mono' && variant !== 'dim_piece_mono') {
    fail('options.variant', 'dim_mono or dim_piece_mono', variant);
  }
  expect('options.seed', Number.isSafeInteger(seed) && seed >= 0, 'a whole number from 0 to 2^53 - 1', seed);
  expect('options.evoScale', evoScale > 0 && Number.isFinite(evoScale), 'a finite number above 0', evoScale);
  expect('options.listStep', listStep > 0 && listStep <= 1, 'a number above 0 and up to 1', listStep);
  // The paper's bound for a small s lies below s, which the baselines need.
  const expectedMax = `a finite number from s = ${scale} up`;
  expect('options.maxFactor', maxFactor >= scale && Number.isFinite(maxFactor), expectedMax, maxFactor);
  const maxSteps = Math.floor((maxFactor - 1) / listStep + 1e-9);
  expect('options.listStep', maxSteps >= 1 && maxSteps <= mostSteps, 'a grid of 2 to 2^31 values', listStep);

  const count = (name: keyof typeof published): number => {
    const given = options[name] ?? published[name];
    expect(`options.${name}`, Number.isInteger(given) && given >= 1, 'a whole number from 1 up', given);
    const scaled = Math.max(1, Math.floor(given * evoScale));
    expect(`options.${name}`, scaled <= mostIndividuals, `at most ${mostIndividuals} with evoScale`, scaled);
    return scaled;
  };
  const settings = {
    variant,
    seed,
    populationSize: count('populationSize'),
    iterations: count('iterations'),
    parentsSize: count('parentsSize'),
    mutationSize: count('mutationSize'),
    crossoverSize: count('crossoverSize'),
    maxCrossoverTries: count('maxCrossoverTries'),
    listStep,
    maxSteps,
    scaleSteps: Math.min(Math.round((scale - 1) / listStep), maxSteps),
    start: startOnGrid(extension, options, numFrequencies, { listStep, maxFactor, maxSteps }),
  };
  if (settings.parentsSize > settings.populationSize) {
    fail('options.parentsSize', `at most the population of ${settings.populationSize}`, settings.parentsSize);
  }
  if (settings.start.length > settings.populationSize) {
    fail('options.populationSize', `room for ${settings.start.length} first individuals`, settings.populationSize);
  }
  return settings;
}

const functionName = 'factorSearchSettings';

// evolution/default_hyper_params of microsoft/LongRoPE: the same for both variants.
const published = {
  populationSize: 64,
  iterations: 40,
  parentsSize: 32,
  mutationSize: 16,
  crossoverSize: 16,
  maxCrossoverTries: 20,
} as const;

interface Grid {
  readonly listStep: number;
  readonly maxFactor: number;
  readonly maxSteps: number;
}

function startOnGrid(
  extension: ContextExtension,
  { start = 'yarn-like', yarnRamp = {} }: FactorSearchOptions,
  numFrequencies: number,
  { listStep, maxFactor, maxSteps }: Grid,
): number[][] {
  expectKnownOptions(functionName, yarnRamp, ['betaFast', 'betaSlow']);
  const withRamp = { ...extension, ...yarnRamp };
  let lists: readonly (readonly number[])[];
  if (start === 'yarn-like') lists = [yarnLikeFactors(withRamp)];
  else if (start === 'all') {
    lists = [
      yarnLikeFactors(withRamp),
      plainFactors(extension),
      positionInterpolationFactors(extension),
      ntkFactors(extension),
      yarnFactors(withRamp),
    ];
  } else lists = start;
  expect('options.start', Array.isArray(lists) && lists.length > 0, 'yarn-like, all or lists of factors', start);

  const onGrid = new Map<string, number[]>();
  for (const [index, list] of lists.entries()) {
    const argument = `options.start[${index}]`;
    const isList = Array.isArray(list) && list.length === numFrequencies;
    expect(argument, isList, `${numFrequencies} factors, half the rotary dimension`, list);
    for (const [i, factor] of list.entries()) {
      const isFactor = typeof factor === 'number' && factor >= 1 && factor <= maxFactor * (1 + 1e-12);
      expect(`${argument}[${i}]`, isFactor, `a number from 1 to ${maxFactor}`, factor);
      expect(`${argument}[${i}]`, i === 0 || factor >= list[i - 1]!, 'no factor below the one before it', factor);
    }
    // Two lists may meet at one place of the grid (YaRN and YaRN-like where the ramp is short): that is one individual.
    const steps = list.map((factor) => Math.min(Math.round((factor - 1) / listStep), maxSteps));
    onGrid.set(steps.join(), steps);
  }
  return [...onGrid.values()];
}

function expect(argument: string, isFine: boolean, expected: string, got: unknown): void {
  if (!isFine) fail(argument, expected, got);
}

function fail(argument: string, expected: string, got: unknown): never {
  throw new ArgumentError({ function: functionName, argument, expected, got });
}
