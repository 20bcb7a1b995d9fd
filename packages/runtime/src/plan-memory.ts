import type { MemoryPlan } from '@phiblocks/backend-wasm';
import type { CacheFormat } from '@phiblocks/tensor';
import { isWeightFormat } from '@phiblocks/weights';
import type { Checkpoint } from './checkpoint.ts';
import { cacheBytesPerToken } from './memory-estimate.ts';
import { defaultExpertCacheInBytes } from './models/create-phi-moe.ts';
import { isExpertKey } from './models/phi-moe-weights.ts';

/** A checkpoint and how it will be loaded, as far as that decides how much memory it takes. */
export interface PlannedModel {
  readonly checkpoint: Pick<Checkpoint, 'config' | 'weights'>;
  readonly expertsOnDemand?: boolean | undefined;
  readonly expertCacheInBytes?: number | undefined;
}

/**
 * The most that is kept free for a cache. More would move weights of a model that fits into one memory to a second, for the sake
 * of contexts that few use: Phi-3-mini at 4 bits stays whole, beside 4,096 positions in float16.
 */
const mostRoom = 7 * 2 ** 28;
/** Results of a layer, and what operations need while they run. */
const roomForResults = 2 ** 27;

/** What a model will want of the backend on WebAssembly. */
export function planMemory(
  { checkpoint: { config, weights }, expertsOnDemand = false, expertCacheInBytes }: PlannedModel,
  kvCache: CacheFormat = 'f32',
): MemoryPlan {
  const bytesPerElement = { f32: 4, f16: 2, q8: 1 + 4 / config.headDim }[kvCache];
  const cache = config.maxPositionEmbeddings * cacheBytesPerToken(config, bytesPerElement);
  const matrices: MemoryPlan['weights'][number][] = [];
  let expertsInBytes = 0;
  for (const { name, format, shape, sizeInBytes } of weights.tensors.values()) {
    if (shape.length < 2 || !isWeightFormat(format)) continue;
    if (expertsOnDemand && isExpertKey(name)) expertsInBytes += sizeInBytes;
    else matrices.push({ format, shape });
  }
  // A long prompt may choose all experts of a layer, which are then held together whatever the cache.
  const ofOneLayer = expertsInBytes / config.numHiddenLayers;
  const kept = Math.max(ofOneLayer, Math.min(expertCacheInBytes ?? defaultExpertCacheInBytes, expertsInBytes));
  return {
    weights: matrices,
    otherWeightsInBytes: kept,
    roomInBytes: Math.min(cache + roomForResults, mostRoom),
  };
}
