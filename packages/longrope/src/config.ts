import { ArgumentError, expectKnownOptions, ShapeError } from '@phiblocks/tensor';

/** The two factor lists of a long-context checkpoint; `rope_scaling` in its `config.json`. */
export interface RopeScaling {
  /** `su` is the older spelling of `longrope`: the same numbers. `yarn` differs only in the attention factor. */
  readonly type: 'longrope' | 'su' | 'yarn';
  /** R/2 factors for lengths up to `originalMaxPositionEmbeddings`. */
  readonly shortFactor: readonly number[];
  /** R/2 factors for lengths above `originalMaxPositionEmbeddings`. */
  readonly longFactor: readonly number[];
  /**
   * Attention factor of the short list, where the file states one (Phi-3.5-MoE, Phi-3-small-128k); else the formula.
   * Trap: the code published with Phi-3-small takes 1 for its short list, not the formula, when the file has no
   * `short_mscale`. A reader of such a file must say 1 here.
   */
  readonly shortMscale?: number | undefined;
  /** Attention factor of the long list, where the file states one; else the formula. */
  readonly longMscale?: number | undefined;
}

/** Everything a rotary position embedding depends on; the checkpoint's own names in camelCase. */
export interface RotaryConfig {
  readonly headDim: number;
  readonly ropeTheta: number;
  /** The part of each head that rotates; 1 for every Phi-3 member, 0.75 for Phi-4-mini. */
  readonly partialRotaryFactor?: number | undefined;
  readonly maxPositionEmbeddings: number;
  /** L0, the length at which the lists change; needed with `ropeScaling`. */
  readonly originalMaxPositionEmbeddings?: number | undefined;
  readonly ropeScaling?: RopeScaling | undefined;
  /** Multiplies every position (`rope_position_scale` of Phi-3-small); 1 when absent. It does not move L0. */
  readonly ropePositionScale?: number | undefined;
}

/**
 * Which factors divide the frequencies: those of one of the two lists, or none (plain RoPE).
 */
export type FactorList = 'none' | 'short' | 'long';

/** Positions count below 2^24: float32, in which the published code multiplies them, holds no more whole numbers exactly. */
export const positionLimit = 2 ** 24;

/**
 * R, the number of leading components of a head that rotate: `trunc(headDim · partialRotaryFactor)`.
 *
 * @param config - only `headDim` and `partialRotaryFactor` are read
 * @example
 * rotaryDim({ headDim: 128, partialRotaryFactor: 0.75 }); // => 96
 */
export function rotaryDim(config: Pick<RotaryConfig, 'headDim' | 'partialRotaryFactor'>): number {
  // The published code truncates (Python's `int`).
  return Math.trunc(config.headDim * (config.partialRotaryFactor ?? 1));
}

/**
 * Checks a configuration; every function of this package that takes one calls it.
 *
 * An `originalMaxPositionEmbeddings` at or above `maxPositionEmbeddings` is accepted: the published formula then gives
 * attention factor 1.
 *
 * @param config - the configuration
 * @returns `config`
 * @throws Phi3Error `OPTION_UNKNOWN` for a field name that nothing reads
 * @throws ArgumentError `ARGUMENT` for a value outside its range: an odd rotary dimension, a factor that is not positive
 * and finite, an unknown scaling type, scaling without `originalMaxPositionEmbeddings`
 * @throws ShapeError `SHAPE` for a factor list that has not R/2 entries
 * @example
 * validateRotaryConfig({ headDim: 96, ropeTheta: 10000, maxPositionEmbeddings: 4096 }).headDim; // => 96
 */
export function validateRotaryConfig(config: RotaryConfig): RotaryConfig {
  expectKnownOptions('validateRotaryConfig', config, [
    'headDim',
    'ropeTheta',
    'partialRotaryFactor',
    'maxPositionEmbeddings',
    'originalMaxPositionEmbeddings',
    'ropeScaling',
    'ropePositionScale',
  ]);
  expectLength('headDim', config.headDim, 2);
  expectPositive('ropeTheta', config.ropeTheta);
  const { partialRotaryFactor = 1, ropePositionScale = 1 } = config;
  expectPositive('partialRotaryFactor', partialRotaryFactor);
  if (partialRotaryFactor > 1) {
    fail('partialRotaryFactor', 'a number above 0 and up to 1', partialRotaryFactor);
  }
  expectPositive('ropePositionScale', ropePositionScale);
  const dimension = rotaryDim(config);
  if (dimension < 2 || dimension % 2 !== 0) {
    fail('headDim', 'an even rotary dimension headDim · partialRotaryFactor of at least 2', dimension);
  }
  expectLength('maxPositionEmbeddings', config.maxPositionEmbeddings, 1);
  const original = config.originalMaxPositionEmbeddings;
  if (original !== undefined) expectLength('originalMaxPositionEmbeddings', original, 1);
  if (config.ropeScaling !== undefined) {
    // The attention factor divides by ln(L0), which is 0 for L0 = 1.
    if (original === undefined || original < 2) {
      fail('originalMaxPositionEmbeddings', 'a whole number from 2 up, because ropeScaling is given', original);
    }
    validateScaling(config.ropeScaling, dimension / 2);
  }
  return config;
}

function validateScaling(scaling: RopeScaling, numFrequencies: number): void {
  if (typeof scaling !== 'object' || scaling === null) fail('ropeScaling', 'an object', scaling);
  expectKnownOptions('validateRotaryConfig', scaling, [
    'type',
    'shortFactor',
    'longFactor',
    'shortMscale',
    'longMscale',
  ]);
  if (!['longrope', 'su', 'yarn'].includes(scaling.type)) {
    fail('ropeScaling.type', 'longrope, su or yarn', scaling.type);
  }
  for (const name of ['shortFactor', 'longFactor'] as const) {
    const factors = scaling[name];
    if (!Array.isArray(factors)) fail(`ropeScaling.${name}`, 'an array of numbers', factors);
    if (factors.length !== numFrequencies) {
      throw new ShapeError({
        function: 'validateRotaryConfig',
        argument: `config.ropeScaling.${name}`,
        expected: `${numFrequencies} factors, half the rotary dimension`,
        got: factors.length,
      });
    }
    for (let i = 0; i < factors.length; i++) expectPositive(`ropeScaling.${name}[${i}]`, factors[i]!);
  }
  for (const name of ['shortMscale', 'longMscale'] as const) {
    const mscale = scaling[name];
    if (mscale !== undefined) expectPositive(`ropeScaling.${name}`, mscale);
  }
}

function expectLength(field: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least || value > positionLimit) {
    fail(field, `a whole number from ${least} to 2^24`, value);
  }
}

function expectPositive(field: string, value: number): void {
  if (typeof value !== 'number' || !(value > 0 && value < Number.POSITIVE_INFINITY)) {
    fail(field, 'a finite number above 0', value);
  }
}

function fail(field: string, expected: string, got: unknown): never {
  throw new ArgumentError({ function: 'validateRotaryConfig', argument: `config.${field}`, expected, got });
}
