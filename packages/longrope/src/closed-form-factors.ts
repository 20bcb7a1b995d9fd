import { ArgumentError } from '@phiblocks/tensor';
import { type CheckedExtension, type ContextExtension, checkExtension } from './context-extension.ts';

/** Between how many turns over L0 YaRN blends: pairs that turn more often keep their frequency. */
export interface YarnRamp {
  /** Turns from which a pair is left as it is; default 32 (Mistral in the published search: 128). */
  readonly betaFast?: number | undefined;
  /** Turns up to which a pair is interpolated fully; default 1 (Mistral: 2). */
  readonly betaSlow?: number | undefined;
}

/**
 * The factors of a model that is used beyond its length as it is: all 1.
 *
 * @param extension - model and target length
 * @returns R/2 factors
 * @throws ArgumentError `ARGUMENT` for a value outside its range; Phi3Error `OPTION_UNKNOWN`
 * @example
 * const extension = { headDim: 4, ropeTheta: 10000, originalMaxPositionEmbeddings: 256, targetLength: 2048 };
 * plainFactors(extension); // => [1, 1]
 */
export function plainFactors(extension: ContextExtension): number[] {
  return new Array<number>(checkExtension('plainFactors', extension).numFrequencies).fill(1);
}

/**
 * Position interpolation: every factor is s.
 *
 * Source: Chen et al., arXiv:2306.15595 §3.2.
 *
 * @param extension - model and target length
 * @returns R/2 factors
 * @throws ArgumentError `ARGUMENT` for a value outside its range; Phi3Error `OPTION_UNKNOWN`
 * @example
 * const extension = { headDim: 4, ropeTheta: 10000, originalMaxPositionEmbeddings: 256, targetLength: 2048 };
 * positionInterpolationFactors(extension); // => [8, 8]
 */
export function positionInterpolationFactors(extension: ContextExtension): number[] {
  const { numFrequencies, scale } = checkExtension('positionInterpolationFactors', extension);
  return new Array<number>(numFrequencies).fill(scale);
}

/**
 * NTK-aware scaling: the base grows to `theta · s^(R/(R-2))`, which is the factor `s^(2i/(R-2))` for pair i, from 1 for the
 * fastest pair to s for the slowest.
 *
 * Source: the formula that YaRN, arXiv:2309.00071 §3.1, gives for "NTK-aware" interpolation.
 *
 * @param extension - model and target length
 * @returns R/2 factors
 * @throws ArgumentError `ARGUMENT` for a value outside its range; Phi3Error `OPTION_UNKNOWN`
 * @example
 * const extension = { headDim: 6, ropeTheta: 10000, originalMaxPositionEmbeddings: 256, targetLength: 1024 };
 * ntkFactors(extension); // => [1, 2, 4]
 */
export function ntkFactors(extension: ContextExtension): number[] {
  const { rotaryDim, numFrequencies, scale } = checkExtension('ntkFactors', extension);
  return Array.from({ length: numFrequencies }, (_, i) => scale ** ((2 * i) / (rotaryDim - 2)));
}

/**
 * YaRN: frequencies are blended between interpolated and left alone, `1/λ[i] = (1 - mask[i])/s + mask[i]`, with a mask that
 * falls linearly over the pairs which turn between `betaFast` and `betaSlow` times in L0 tokens.
 *
 * The attention factor that goes with it is `0.1 ln s + 1` (`type: 'yarn'`).
 *
 * Source: Peng et al., arXiv:2309.00071 §3.2.
 *
 * @param extension - model and target length; `betaFast` and `betaSlow` where they are not 32 and 1
 * @returns R/2 factors, from 1 to s
 * @throws ArgumentError `ARGUMENT` for a value outside its range; Phi3Error `OPTION_UNKNOWN`
 * @example
 * const extension = { headDim: 8, ropeTheta: 10000, originalMaxPositionEmbeddings: 4096, targetLength: 8192 };
 * yarnFactors(extension); // => [1, 1, 4 / 3, 2]
 */
export function yarnFactors(extension: ContextExtension & YarnRamp): number[] {
  const checked = checkExtension('yarnFactors', extension, rampNames);
  return yarnMask('yarnFactors', checked, extension).map((mask) => 1 / ((1 - mask) / checked.scale + mask));
}

/**
 * The first individual of the published LongRoPE search: YaRN's mask, but blending the factors and not the frequencies,
 * `λ[i] = s · (1 - mask[i]) + mask[i]`.
 *
 * Source: microsoft/LongRoPE, commit c9e56aa5.
 *
 * @param extension - model and target length; `betaFast` and `betaSlow` where they are not 32 and 1
 * @returns R/2 factors, from 1 to s
 * @throws ArgumentError `ARGUMENT` for a value outside its range; Phi3Error `OPTION_UNKNOWN`
 * @example
 * const extension = { headDim: 8, ropeTheta: 10000, originalMaxPositionEmbeddings: 4096, targetLength: 8192 };
 * yarnLikeFactors(extension); // => [1, 1, 1.5, 2]
 */
export function yarnLikeFactors(extension: ContextExtension & YarnRamp): number[] {
  const checked = checkExtension('yarnLikeFactors', extension, rampNames);
  return yarnMask('yarnLikeFactors', checked, extension).map((mask) => checked.scale * (1 - mask) + mask);
}

/**
 * Factors made for one scale, stretched to another: `1 + (λ - 1) · (to - 1) / (from - 1)`. With `to = n / L0` it is what the
 * published code calls dynamic scaling at length n.
 *
 * Source: microsoft/LongRoPE, commit c9e56aa5.
 *
 * @param factors - factors of at least 1
 * @param fromScale - the scale they were made for, above 1
 * @param toScale - the scale wanted, at least 1
 * @returns as many factors
 * @throws ArgumentError `ARGUMENT` for a value outside its range
 * @example
 * rescaleFactors([1, 5, 9], 9, 5); // => [1, 3, 5]
 */
export function rescaleFactors(factors: readonly number[], fromScale: number, toScale: number): number[] {
  const expect = (argument: string, isFine: boolean, expected: string, got: unknown): void => {
    if (!isFine) throw new ArgumentError({ function: 'rescaleFactors', argument, expected, got });
  };
  expect('fromScale', fromScale > 1 && Number.isFinite(fromScale), 'a finite number above 1', fromScale);
  expect('toScale', toScale >= 1 && Number.isFinite(toScale), 'a finite number of at least 1', toScale);
  expect('factors', Array.isArray(factors), 'an array of numbers', factors);
  for (const [i, factor] of factors.entries()) {
    expect(`factors[${i}]`, factor >= 1 && Number.isFinite(factor), 'a finite number of at least 1', factor);
  }
  return factors.map((factor) => 1 + ((factor - 1) * (toScale - 1)) / (fromScale - 1));
}

const rampNames = ['betaFast', 'betaSlow'];

/** 1 where a pair keeps its frequency, 0 where it is interpolated. */
function yarnMask(
  functionName: string,
  { rotaryDim, numFrequencies, ropeTheta, originalLength }: CheckedExtension,
  { betaFast = 32, betaSlow = 1 }: YarnRamp,
): number[] {
  if (!(betaSlow > 0 && betaFast > betaSlow && Number.isFinite(betaFast))) {
    const expected = 'finite turns with betaFast above betaSlow above 0';
    throw new ArgumentError({ function: functionName, argument: 'extension', expected, got: [betaFast, betaSlow] });
  }
  const pairThatTurns = (times: number): number =>
    (rotaryDim * Math.log(originalLength / (times * 2 * Math.PI))) / (2 * Math.log(ropeTheta));
  const low = Math.max(Math.floor(pairThatTurns(betaFast)), 0);
  let high = Math.min(Math.ceil(pairThatTurns(betaSlow)), rotaryDim - 1);
  if (high === low) high += 0.001; // as published: no division by 0
  return Array.from({ length: numFrequencies }, (_, i) => 1 - Math.min(Math.max((i - low) / (high - low), 0), 1));
}
