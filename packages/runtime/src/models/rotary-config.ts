import type { RotaryConfig } from '@phiblocks/longrope';
import type { ModelConfig } from '@phiblocks/weights';

/**
 * The rotary position embedding of a configuration, whichever member it is.
 *
 * Trap of Phi-3-small: without `short_mscale` its published code takes 1 for the short list, where the others take the
 * formula. Without `long_mscale` it takes the formula like the others.
 *
 * Source: `Phi3SuScaledRotaryEmbedding` of `modeling_phi3_small.py` in `positional_embedding.py`, published with the checkpoint.
 */
export function rotaryConfigOf(config: ModelConfig): RotaryConfig {
  const scaling = config.ropeScaling;
  return {
    headDim: config.headDim,
    ropeTheta: config.ropeTheta,
    partialRotaryFactor: config.partialRotaryFactor,
    maxPositionEmbeddings: config.maxPositionEmbeddings,
    originalMaxPositionEmbeddings: config.originalMaxPositionEmbeddings,
    ropePositionScale: config.modelType === 'phi3small' ? config.ropePositionScale : undefined,
    ropeScaling: scaling && {
      type: scaling.type,
      shortFactor: scaling.shortFactor,
      longFactor: scaling.longFactor,
      shortMscale: scaling.shortMscale ?? (config.modelType === 'phi3small' ? 1 : undefined),
      longMscale: scaling.longMscale,
    },
  };
}
