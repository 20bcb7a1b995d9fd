import type { FloatTensor } from '@phiblocks/tensor';
import { gelu } from './gelu.ts';
import { type LinearWeights, linear } from './linear.ts';

/** The projector: `img_projection.0` and `img_projection.2` in the checkpoint. */
export interface ProjectorWeights {
  /** `[hiddenSize, 4 · C]` and `[hiddenSize]`; C is the tower's width, hiddenSize the language model's. */
  readonly linear1: LinearWeights;
  /** `[hiddenSize, hiddenSize]` and `[hiddenSize]` */
  readonly linear2: LinearWeights;
}

/**
 * The projector from merged image features to the language model: `linear2(gelu(linear1(x)))` with the exact GELU.
 *
 * Source: `image_embedding_phi3_v.py` (`projection_cls` `mlp`).
 *
 * @param features - `[tokens, 4 · C]`, from {@link arrangeFeatures}
 * @param weights - {@link ProjectorWeights}
 * @returns `[tokens, hiddenSize]`
 * @throws ShapeError `SHAPE`
 * @example
 * const identity = { weight: { data: Float32Array.of(1), shape: [1, 1] }, bias: { data: Float32Array.of(0), shape: [1] } };
 * projectFeatures({ data: Float32Array.of(2), shape: [1, 1] }, { linear1: identity, linear2: identity }).data; // => [1.9544997]
 */
export function projectFeatures(features: FloatTensor, weights: ProjectorWeights): FloatTensor {
  return linear(gelu(linear(features, weights.linear1)), weights.linear2);
}
