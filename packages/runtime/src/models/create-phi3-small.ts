import type { Backend } from '@phiblocks/tensor';
import type { Phi3SmallConfig, WeightSource } from '@phiblocks/weights';
import type { CausalLanguageModel } from './causal-language-model.ts';
import { createWeightLoader, type LoadOptions } from './load-weights.ts';
import { forwardPhi3Small, type Phi3Small, type Phi3SmallSelfAttention, phi3SmallSelfAttention } from './phi3-small.ts';
import { loadPhi3SmallWeights, phi3SmallTensorPlan } from './phi3-small-weights.ts';
import { rotaryConfigOf } from './rotary-config.ts';

export interface Phi3SmallOptions extends LoadOptions {
  /** Replaces the self-attention of every layer. Default: {@link phi3SmallSelfAttention}. */
  readonly selfAttention?: Phi3SmallSelfAttention | undefined;
}

/** Where the weights of a model come from. */
export interface Phi3SmallSource {
  readonly config: Phi3SmallConfig;
  readonly weights: WeightSource;
}

/**
 * Loads Phi3SmallForCausalLM (Phi-3-small 8k and 128k) onto a backend.
 *
 * @param source - the configuration and the weights of a checkpoint
 * @param backend - keeps the weights until `dispose`
 * @param options - another self-attention, and how weights are loaded
 * @throws Phi3Error `MODEL_TENSOR_MISSING`, `MODEL_TENSOR_SHAPE` before anything is read; the signal's reason when it
 * aborts, after freeing what was loaded
 */
export async function createPhi3Small(
  { config, weights: source }: Phi3SmallSource,
  backend: Backend,
  { selfAttention = phi3SmallSelfAttention, ...loadOptions }: Phi3SmallOptions = {},
): Promise<CausalLanguageModel> {
  const loader = createWeightLoader(source, phi3SmallTensorPlan(config), backend, loadOptions);
  try {
    const rotary = rotaryConfigOf(config);
    const weights = await loadPhi3SmallWeights(config, loader);
    const phi3Small: Phi3Small = { config, rotary, weights, backend, selfAttention };
    return {
      config,
      rotary,
      backend,
      createCache: () =>
        backend.createCache({
          numLayers: config.numHiddenLayers,
          numKeyValueHeads: config.numKeyValueHeads,
          headDim: config.headDim,
        }),
      forward: (ids, cache, options) => forwardPhi3Small(phi3Small, ids, cache, options),
      dispose: () => loader.free(),
    };
  } catch (error) {
    loader.free();
    throw error;
  }
}
