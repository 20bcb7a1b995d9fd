import type { Backend } from '@phiblocks/tensor';
import type { Phi3Config, WeightSource } from '@phiblocks/weights';
import type { CausalLanguageModel } from './causal-language-model.ts';
import { createWeightLoader, type LoadOptions } from './load-weights.ts';
import { forwardPhi3, type Phi3, type Phi3SelfAttention, phi3SelfAttention } from './phi3.ts';
import { loadPhi3Weights, phi3TensorPlan } from './phi3-weights.ts';
import { rotaryConfigOf } from './rotary-config.ts';

export interface Phi3Options extends LoadOptions {
  /** Replaces the self-attention of every layer. Default: {@link phi3SelfAttention}. */
  readonly selfAttention?: Phi3SelfAttention | undefined;
}

/** Where the weights of a model come from. */
export interface Phi3Source {
  readonly config: Phi3Config;
  readonly weights: WeightSource;
}

/**
 * Loads Phi3ForCausalLM (mini, medium, 3.5-mini; tied embeddings and partial rotary included) onto a backend.
 *
 * @param source - the configuration and the weights of a checkpoint
 * @param backend - keeps the weights until `dispose`
 * @param options - another self-attention, and how weights are loaded
 * @throws Phi3Error `MODEL_TENSOR_MISSING`, `MODEL_TENSOR_SHAPE` before anything is read; the signal's reason when it
 * aborts, after freeing what was loaded
 */
export async function createPhi3(
  { config, weights: source }: Phi3Source,
  backend: Backend,
  { selfAttention = phi3SelfAttention, ...loadOptions }: Phi3Options = {},
): Promise<CausalLanguageModel> {
  const loader = createWeightLoader(source, phi3TensorPlan(config), backend, loadOptions);
  try {
    const rotary = rotaryConfigOf(config);
    const phi3: Phi3 = { config, rotary, weights: await loadPhi3Weights(config, loader), backend, selfAttention };
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
      forward: (ids, cache, options) => forwardPhi3(phi3, ids, cache, options),
      dispose: () => loader.free(),
    };
  } catch (error) {
    loader.free();
    throw error;
  }
}
