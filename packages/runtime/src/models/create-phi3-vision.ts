import { type Backend, Phi3Error } from '@phiblocks/tensor';
import { hdTransformSize, imageTokenCount, preprocessImage } from '@phiblocks/vision';
import type { Phi3VisionConfig, WeightSource } from '@phiblocks/weights';
import type { CausalLanguageModel } from './causal-language-model.ts';
import type { Phi3Options } from './create-phi3.ts';
import { createWeightLoader } from './load-weights.ts';
import { phi3SelfAttention } from './phi3.ts';
import { encodeImage, forwardPhi3Vision, type Phi3Vision } from './phi3-vision.ts';
import { loadImageWeights, phi3VisionTensorPlan } from './phi3-vision-weights.ts';
import { loadPhi3Weights } from './phi3-weights.ts';
import { rotaryConfigOf } from './rotary-config.ts';

export interface Phi3VisionOptions extends Phi3Options {
  /**
   * Crops into which a picture is cut at most: `num_crops` of `preprocessor_config.json`, which is not the same in both
   * members. Without it the model reads text only.
   */
  readonly numCrops?: number | undefined;
}

/** Where the weights of a model come from. */
export interface Phi3VisionSource {
  readonly config: Phi3VisionConfig;
  readonly weights: WeightSource;
}

/**
 * Loads Phi3VForCausalLM (Phi-3-vision, Phi-3.5-vision) onto a backend.
 *
 * @param source - the configuration and the weights of a checkpoint
 * @param backend - keeps the weights until `dispose`
 * @param options - crops of a picture, another self-attention, and how weights are loaded
 * @throws Phi3Error `MODEL_TENSOR_MISSING`, `MODEL_TENSOR_SHAPE` before anything is read; `UNSUPPORTED` for a tower whose
 * crops are not 336 pixels in patches of 14; the signal's reason when it aborts, after freeing what was loaded
 */
export async function createPhi3Vision(
  { config, weights: source }: Phi3VisionSource,
  backend: Backend,
  { selfAttention = phi3SelfAttention, numCrops, ...loadOptions }: Phi3VisionOptions = {},
): Promise<CausalLanguageModel> {
  const { clipConfig } = config.imgProcessor;
  if (clipConfig.imageSize !== 336 || clipConfig.patchSize !== 14 || clipConfig.numChannels !== 3) {
    throw new Phi3Error({
      code: 'UNSUPPORTED',
      function: 'createPhi3Vision',
      expected: 'crops of 3 × 336 × 336 pixels in patches of 14, as every published member has them',
      got: [clipConfig.numChannels, clipConfig.imageSize, clipConfig.patchSize],
    });
  }
  // The number of crops is checked where a picture of any size would meet it.
  if (numCrops !== undefined) hdTransformSize(336, 336, numCrops);
  const loader = createWeightLoader(source, phi3VisionTensorPlan(config), backend, loadOptions);
  try {
    const rotary = rotaryConfigOf(config);
    const imageWeights = await loadImageWeights(config, loader);
    const language = { config, rotary, weights: await loadPhi3Weights(config, loader), backend, selfAttention };
    const vision: Phi3Vision = { language, clipConfig, imageWeights, backend };
    return {
      config,
      rotary,
      backend,
      images:
        numCrops === undefined
          ? undefined
          : {
              numImageTokens(size) {
                const { height, width } = hdTransformSize(size.width, size.height, numCrops);
                return imageTokenCount(height, width);
              },
              encode: async (image, options) => encodeImage(vision, preprocessImage(image, { numCrops }), options),
            },
      createCache: () =>
        backend.createCache({
          numLayers: config.numHiddenLayers,
          numKeyValueHeads: config.numKeyValueHeads,
          headDim: config.headDim,
        }),
      forward: (ids, cache, options) => forwardPhi3Vision(vision, ids, cache, options),
      dispose: () => loader.free(),
    };
  } catch (error) {
    loader.free();
    throw error;
  }
}
