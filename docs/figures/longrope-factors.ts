import { ntkFactors, positionInterpolationFactors, yarnFactors } from '@phiblocks/longrope';
import type { ModelConfig } from '@phiblocks/weights';

/** Factor lists by name, one factor per pair. */
export interface FactorLists {
  /** Of the checkpoint; undefined where it has none. */
  readonly short: readonly number[] | undefined;
  readonly long: readonly number[] | undefined;
  /** The closed forms for the same extension. */
  readonly positionInterpolation: readonly number[];
  readonly ntk: readonly number[];
  readonly yarn: readonly number[];
}

/** The lists of a member beside the closed forms that reach `targetLength`. */
export function factorLists(config: ModelConfig, targetLength: number): FactorLists {
  const extension = {
    headDim: config.headDim,
    ropeTheta: config.ropeTheta,
    partialRotaryFactor: config.partialRotaryFactor,
    originalMaxPositionEmbeddings: config.originalMaxPositionEmbeddings,
    targetLength,
  };
  return {
    short: config.ropeScaling?.shortFactor,
    long: config.ropeScaling?.longFactor,
    positionInterpolation: positionInterpolationFactors(extension),
    ntk: ntkFactors(extension),
    yarn: yarnFactors(extension),
  };
}
