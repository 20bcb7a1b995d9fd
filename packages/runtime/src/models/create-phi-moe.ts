import { ArgumentError, type Backend, type ExpertWeights } from '@phiblocks/tensor';
import type { PhiMoeConfig, WeightSource } from '@phiblocks/weights';
import type { CausalLanguageModel } from './causal-language-model.ts';
import { createExpertsOnDemand, createResidentExperts, type Experts } from './experts.ts';
import { createWeightLoader, type LoadOptions, type WeightLoader } from './load-weights.ts';
import { forwardPhiMoe, type PhiMoe, type PhiMoeSelfAttention, phiMoeSelfAttention } from './phi-moe.ts';
import { expertKeys, isExpertKey, loadPhiMoeWeights, phiMoeTensorPlan } from './phi-moe-weights.ts';
import { rotaryConfigOf } from './rotary-config.ts';

/** Expert weights that are kept where the caller does not say how many. */
export const defaultExpertCacheInBytes = 4 * 2 ** 30;

export interface PhiMoeOptions extends LoadOptions {
  /** Replaces the self-attention of every layer. Default: {@link phiMoeSelfAttention}. */
  readonly selfAttention?: PhiMoeSelfAttention | undefined;
  /**
   * Reads the weights of an expert when a token first chooses it, instead of all at the start, so that a model larger than
   * memory runs. The checkpoint stays open and is read while text is generated. Default false.
   */
  readonly expertsOnDemand?: boolean | undefined;
  /**
   * With `expertsOnDemand`: bytes of expert weights to keep, those used last. The experts that one layer chooses for one
   * chunk of the prompt are held together, also where they are more. Default 4 GiB; an expert of the published checkpoint
   * has 157 MB.
   */
  readonly expertCacheInBytes?: number | undefined;
}

/** Where the weights of a model come from. */
export interface PhiMoeSource {
  readonly config: PhiMoeConfig;
  readonly weights: WeightSource;
}

/**
 * Loads PhiMoEForCausalLM (Phi-3.5-MoE) onto a backend.
 *
 * @param source - the configuration and the weights of a checkpoint
 * @param backend - keeps the weights until `dispose`
 * @param options - when experts are read, another self-attention, and how weights are loaded
 * @throws Phi3Error `MODEL_TENSOR_MISSING` (a missing expert included, also when experts are read on demand),
 * `MODEL_TENSOR_SHAPE` before anything is read; the signal's reason when it aborts, after freeing what was loaded
 * @throws ArgumentError `ARGUMENT` for a cache size that is none, or one without `expertsOnDemand`
 */
export async function createPhiMoe(
  { config, weights: source }: PhiMoeSource,
  backend: Backend,
  {
    selfAttention = phiMoeSelfAttention,
    expertsOnDemand = false,
    expertCacheInBytes,
    ...loadOptions
  }: PhiMoeOptions = {},
): Promise<CausalLanguageModel> {
  if (expertCacheInBytes !== undefined && !(expertsOnDemand && expertCacheInBytes >= 0)) {
    throw new ArgumentError({
      function: 'createPhiMoe',
      argument: 'options.expertCacheInBytes',
      expected: 'bytes from 0 up, with expertsOnDemand',
      got: expertCacheInBytes,
    });
  }
  const isLoadedLater = (key: string): boolean => expertsOnDemand && isExpertKey(key);
  const loader = createWeightLoader(source, phiMoeTensorPlan(config), backend, loadOptions, isLoadedLater);
  try {
    const rotary = rotaryConfigOf(config);
    const weights = await loadPhiMoeWeights(config, loader);
    const experts = expertsOnDemand
      ? createExpertsOnDemand(
          source,
          backend,
          config.numLocalExperts,
          expertKeys,
          expertCacheInBytes ?? defaultExpertCacheInBytes,
        )
      : await loadExperts(config, loader);
    const phiMoe: PhiMoe = { config, rotary, weights, experts, backend, selfAttention };
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
      forward: (ids, cache, options) => forwardPhiMoe(phiMoe, ids, cache, options),
      dispose() {
        experts.free();
        loader.free();
      },
    };
  } catch (error) {
    loader.free();
    throw error;
  }
}

async function loadExperts(config: PhiMoeConfig, loader: WeightLoader): Promise<Experts> {
  const layers: ExpertWeights[][] = [];
  for (let index = 0; index < config.numHiddenLayers; index++) {
    const layer: ExpertWeights[] = [];
    for (let expert = 0; expert < config.numLocalExperts; expert++) {
      const { w1, w2, w3 } = expertKeys(index, expert);
      layer.push({ w1: await loader.matrix(w1), w2: await loader.matrix(w2), w3: await loader.matrix(w3) });
    }
    layers.push(layer);
  }
  return createResidentExperts(layers);
}
