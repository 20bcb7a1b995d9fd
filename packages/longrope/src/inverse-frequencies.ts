import { ArgumentError, Phi3Error } from '@phiblocks/tensor';
import { type FactorList, type RotaryConfig, rotaryDim, validateRotaryConfig } from './config.ts';

/**
 * The angle per position of each rotated pair: `1 / (factor[i] · theta^(2i/R))`, in float32 steps as the published code
 * takes them. At position 131072 one unit in the last place of a frequency is an angle of about 0.01.
 *
 * Source: RoPE, arXiv:2104.09864 §3.2.2; LongRoPE, arXiv:2402.13753 §3; `Phi3LongRoPEScaledRotaryEmbedding` of the
 * published model code.
 *
 * @param config - checked by `validateRotaryConfig`
 * @param list - which factors divide; `none` gives plain RoPE whatever the configuration holds
 * @returns float32 `[R/2]`, radians per position
 * @throws Phi3Error `LR_NO_FACTORS` for `short` or `long` without `ropeScaling`
 * @throws ArgumentError, ShapeError, Phi3Error as `validateRotaryConfig`
 * @example
 * inverseFrequencies({ headDim: 4, ropeTheta: 10000, maxPositionEmbeddings: 4096 }, 'none'); // => [1, 0.01]
 */
export function inverseFrequencies(config: RotaryConfig, list: FactorList): Float32Array {
  validateRotaryConfig(config);
  const factors = factorsOf('inverseFrequencies', config, list);
  const dimension = rotaryDim(config);
  const frequencies = new Float32Array(dimension / 2);
  for (let i = 0; i < frequencies.length; i++) {
    const power = Math.fround(config.ropeTheta ** Math.fround((2 * i) / dimension));
    const factor = factors === undefined ? 1 : Math.fround(factors[i]!);
    frequencies[i] = 1 / Math.fround(factor * power); // rounded again by the array
  }
  return frequencies;
}

/** The factors of a list, `undefined` for `none`. */
export function factorsOf(functionName: string, config: RotaryConfig, list: FactorList): readonly number[] | undefined {
  if (list === 'none') return undefined;
  if (list !== 'short' && list !== 'long') {
    throw new ArgumentError({
      function: functionName,
      argument: 'list',
      expected: 'none, short or long',
      got: list,
    });
  }
  if (config.ropeScaling === undefined) {
    throw new Phi3Error({
      code: 'LR_NO_FACTORS',
      function: functionName,
      argument: 'list',
      expected: 'none, because the configuration has no ropeScaling',
      got: list,
    });
  }
  return list === 'short' ? config.ropeScaling.shortFactor : config.ropeScaling.longFactor;
}
