import type { CacheFormat } from '@phiblocks/tensor';
import type { ModelConfig, StoredTensor } from '@phiblocks/weights';
import type { Checkpoint } from './checkpoint.ts';
import { isExpertKey } from './models/phi-moe-weights.ts';
import { blockSparsePatternOf, isDense } from './models/phi3-small.ts';

// Decoding waits for memory: the bytes that one token reads, over the bandwidth, are the least time that it can take.

/**
 * Bytes of weights that one token of text reads: every matrix and vector once, of the embedding one row (unless it is the head
 * too), of the experts those that a token is sent to, and nothing of the image encoder.
 *
 * @param checkpoint - of any member
 * @param sizeOf - bytes of a tensor where it lies; default: those of the file
 */
export function weightBytesPerToken(
  { config, weights }: Pick<Checkpoint, 'config' | 'weights'>,
  sizeOf: (tensor: StoredTensor) => number = ({ sizeInBytes }) => sizeInBytes,
): number {
  const shareOfExperts = config.modelType === 'phimoe' ? config.numExpertsPerTok / config.numLocalExperts : 1;
  let bytes = 0;
  for (const [key, tensor] of weights.tensors) {
    if (key.startsWith('model.vision_embed_tokens.')) continue;
    const size = sizeOf(tensor);
    if (key === 'model.embed_tokens.weight' && !config.tieWordEmbeddings) bytes += size / tensor.shape[0]!;
    else bytes += isExpertKey(key) ? size * shareOfExperts : size;
  }
  return bytes;
}

/**
 * Bytes of keys and values that attention reads for one token: in a layer with a window those inside it, in a block-sparse layer
 * the blocks that any query head of a group sees.
 *
 * @param config - of any member
 * @param length - positions in the cache, the token's own included
 */
export function cacheBytesPerStep(config: ModelConfig, length: number, format: CacheFormat = 'f32'): number {
  const { numHiddenLayers, numKeyValueHeads, headDim } = config;
  const bytesOfHead = { f32: 8 * headDim, f16: 4 * headDim, q8: 2 * headDim + 8 }[format];
  const window = config.slidingWindow ?? length;
  let positions = 0;
  for (let layer = 0; layer < numHiddenLayers; layer++) {
    const isSparse = config.modelType === 'phi3small' && !isDense(config, layer);
    positions += isSparse ? positionsSeen(config, length) : numKeyValueHeads * Math.min(length, window);
  }
  return positions * bytesOfHead;
}

/** Positions that a block-sparse layer reads, over all key/value heads. */
function positionsSeen(config: Extract<ModelConfig, { modelType: 'phi3small' }>, length: number): number {
  const { blockSize, numLocalBlocks, verticalStride, headStep } = blockSparsePatternOf(config);
  const group = config.numAttentionHeads / config.numKeyValueHeads;
  const lastBlock = Math.floor((length - 1) / blockSize);
  let positions = 0;
  for (let keyHead = 0; keyHead < config.numKeyValueHeads; keyHead++) {
    for (let block = 0; block <= lastBlock; block++) {
      const isLocal = lastBlock - block < numLocalBlocks;
      const heads = Array.from({ length: group }, (_, i) => keyHead * group + i);
      const isSeen = isLocal || heads.some((head) => (block + head * headStep + 1) % verticalStride === 0);
      if (isSeen) positions += Math.min(blockSize, length - block * blockSize);
    }
  }
  return positions;
}
