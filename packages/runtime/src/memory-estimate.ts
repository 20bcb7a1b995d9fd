import type { ModelConfig } from '@phiblocks/weights';

/** Bytes that a model needs, by what needs them. */
export interface MemoryEstimate {
  /** The stored weights, in the format of the checkpoint. */
  readonly weightsInBytes: number;
  /** Keys and values of the whole context. */
  readonly cacheInBytes: number;
  /** The intermediates of one layer for one chunk of the prompt. */
  readonly activationsInBytes: number;
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
 * intermediates of a chunk of the prompt. The JavaScript engine itself is not counted.
 *
 * @param config - of any member
 * @param options.weightsInBytes - bytes of all tensors of the checkpoint
 * @param options.contextLength - tokens in the cache
 * @param options.prefillChunkSize - tokens of one forward pass; default 64, as sessions have it
 */
export function estimateMemory(
  config: ModelConfig,
  options: { weightsInBytes: number; contextLength: number; prefillChunkSize?: number },
): MemoryEstimate {
  const { weightsInBytes, contextLength, prefillChunkSize = 64 } = options;
  const cacheInBytes = contextLength * cacheBytesPerToken(config, 4);
  // The temporaries of one layer live together: norms and sums, the fused projections and their parts.
  const { hiddenSize, numAttentionHeads, numKeyValueHeads, headDim, intermediateSize } = config;
  const attention = 4 * numAttentionHeads * headDim + 5 * numKeyValueHeads * headDim;
  const perToken = 7 * hiddenSize + attention + 3 * intermediateSize;
  const activationsInBytes = 4 * Math.min(prefillChunkSize, contextLength) * perToken;
  return {
    weightsInBytes,
    cacheInBytes,
    activationsInBytes,
    totalInBytes: weightsInBytes + cacheInBytes + activationsInBytes,
  };
}
