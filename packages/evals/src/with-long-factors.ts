import type { Checkpoint } from '@phiblocks/runtime';
import { ArgumentError } from '@phiblocks/tensor';

/**
 * A checkpoint whose long list of LongRoPE factors is another one: what a factor search evaluates. Nothing is copied and the
 * weights are shared, so close only one of the two.
 *
 * @param checkpoint - with `rope_scaling`
 * @param factors - R/2 factors
 * @throws ArgumentError `ARGUMENT` for a checkpoint without factor lists, or another number of factors
 * @example
 * const ropeScaling = { type: 'longrope', shortFactor: [1, 1], longFactor: [1, 8] };
 * const other = withLongFactors({ config: { ropeScaling } }, [1, 4]);
 * other.config.ropeScaling.longFactor; // => [1, 4]
 */
export function withLongFactors(checkpoint: Checkpoint, factors: readonly number[]): Checkpoint {
  const { config } = checkpoint;
  const expected = config.ropeScaling?.longFactor.length;
  if (expected === undefined || config.ropeScaling === undefined) {
    throw new ArgumentError({
      function: 'withLongFactors',
      argument: 'checkpoint',
      expected: 'a checkpoint with rope_scaling',
      got: checkpoint.name,
    });
  }
  if (factors.length !== expected) {
    throw new ArgumentError({
      function: 'withLongFactors',
      argument: 'factors',
      expected: `${expected} factors`,
      got: factors.length,
    });
  }
  return { ...checkpoint, config: { ...config, ropeScaling: { ...config.ropeScaling, longFactor: [...factors] } } };
}
