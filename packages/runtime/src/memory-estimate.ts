import type { ModelConfig, Phi3VisionConfig } from '@phiblocks/weights';

/** Bytes that a model needs, by what needs them. */
export interface MemoryEstimate {
  /** The stored weights, in the format of the checkpoint. */
  readonly weightsInBytes: number;
  /** Keys and values of the whole context. */
  readonly cacheInBytes: number;
  /** The intermediates of one layer for one chunk of the prompt. */
  readonly activationsInBytes: number;
  /** Encoding the image that takes most: its pixels, features and the intermediates. 0 for members that see none. */
  readonly imageInBytes: number;
  readonly totalInBytes: number;
}

/**
 * Key/value cache of one token: `2 · layers · K · D` elements.
 *
 * Source: the shapes of the cache; Phi-3-mini keeps as many key/value heads as query heads, so its cache is larger than
 * that of Phi-3-medium.
 *
 * @param config - of any member
 * @param bytesPerElement - 4 for float32 (the reference backend), 2 for 16 bit
 * @example
 * const mini = { numHiddenLayers: 32, numKeyValueHeads: 32, headDim: 96 };
 * cacheBytesPerToken(mini, 2); // => 393216
 */
export function cacheBytesPerToken(
  config: Pick<ModelConfig, 'numHiddenLayers' | 'numKeyValueHeads' | 'headDim'>,
  bytesPerElement: number,
): number {
  return 2 * config.numHiddenLayers * config.numKeyValueHeads * config.headDim * bytesPerElement;
}

/**
 * What a model will occupy at a context length on the reference backend: the weights as stored, a float32 cache, and the
 * intermediates of a chunk of the prompt. The JavaScript engine itself is not counted. A cache grows by doubling, so between
 * two of its sizes it holds up to twice what its tokens need, and while it grows the old one beside the new one. With
 * experts on demand, count `expertCacheInBytes` instead of the experts among the weights.
 *
 * @param config - of any member
 * @param options.weightsInBytes - bytes of all tensors of the checkpoint
 * @param options.contextLength - tokens in the cache
 * @param options.prefillChunkSize - tokens of one forward pass; default 64, as sessions have it
 * @param options.numCrops - for members that see images; default 16
 */
export function estimateMemory(
  config: ModelConfig,
  options: { weightsInBytes: number; contextLength: number; prefillChunkSize?: number; numCrops?: number },
): MemoryEstimate {
  const { weightsInBytes, contextLength, prefillChunkSize = 64, numCrops = 16 } = options;
  const cacheInBytes = contextLength * cacheBytesPerToken(config, 4);
  const activationsInBytes = 4 * elementsOfPass(config, Math.min(prefillChunkSize, contextLength));
  const imageInBytes = config.modelType === 'phi3_v' ? 4 * elementsOfImage(config, numCrops) : 0;
  return {
    weightsInBytes,
    cacheInBytes,
    activationsInBytes,
    imageInBytes,
    // An image is encoded before the pass that reads its rows, so the two do not meet.
    totalInBytes: weightsInBytes + cacheInBytes + Math.max(activationsInBytes, imageInBytes),
  };
}

/** The temporaries of one layer, which live together: norms and sums, the projections and their parts, the rotary table. */
function elementsOfPass(config: ModelConfig, numTokens: number): number {
  const { hiddenSize: C, numAttentionHeads: H, numKeyValueHeads: K, headDim: D, intermediateSize: I } = config;
  const rotary = Math.trunc(D * config.partialRotaryFactor);
  let perToken = 7 * C + rotary;
  if (config.modelType === 'phimoe') {
    // No fused projections. What one expert computes lives only inside its operation: at most every token's.
    perToken += 3 * (H + K) * D + config.numLocalExperts + 2 * C + 2 * I;
  } else {
    perToken += 4 * H * D + 5 * K * D + 3 * I;
  }
  // Phi-3-small keeps its embeddings beside the scaled ones until the first layer has run.
  if (config.modelType === 'phi3small') perToken += C;
  // Behind the layers: the hidden states, the last row, its norm, its logits, for Phi-3-small once more scaled.
  const head = numTokens * (C + rotary) + 2 * C + (config.modelType === 'phi3small' ? 2 : 1) * config.vocabSize;
  return Math.max(numTokens * perToken, head);
}

function elementsOfImage(config: Phi3VisionConfig, numCrops: number): number {
  const { hiddenSize: W, intermediateSize: M, imageSize, patchSize } = config.imgProcessor.clipConfig;
  const numPatches = (imageSize / patchSize) ** 2;
  const pixelsOfCrop = 3 * imageSize * imageSize;
  // One long row of crops has the most newlines when it stands upright.
  const numTokens = (numCrops + 1) * (numPatches / 4) + 1 + (numCrops + 1) * (imageSize / patchSize / 2);
  const kept = (numCrops + 1) * (pixelsOfCrop + numPatches * W);
  // A layer of the tower over one crop; the first one has the embeddings beside it.
  const tower = (numPatches + 1) * (14 * W + 2 * M) + 2 * pixelsOfCrop;
  const projector = numTokens * (4 * W + 3 * config.hiddenSize);
  return kept + Math.max(tower, projector);
}
