import type { ModelConfig, WeightSource } from '@phiblocks/weights';
import type { Station } from '../definition/layers.ts';
import { factorListAt } from '../definition/rotary.ts';
import { createRandom } from './random.ts';

/** Where along the sequence blocks are checked. */
export interface StationPlan {
  readonly stations: readonly Station[];
}

/** Keys and values of the longest made-up past stay below this, so that memory does not depend on the context. */
export const longestPastInBytes = 256 * 2 ** 20;
/** Multiply-accumulates of the definition that are worth an answer, when nobody says how many positions. */
const affordableWork = 6e9;

/**
 * The start of the sequence, and the places where something changes: the edge of the sliding window, the first blocks that a
 * block-sparse layer leaves out, and both sides of the LongRoPE boundary. A past is made up for each, so that a block can be
 * checked at position 4,096 without running 4,096 tokens.
 */
export function chooseStations(config: ModelConfig, source: WeightSource, wanted: number | undefined): StationPlan {
  const weights = [...source.tensors.values()].reduce((sum, { sizeInBytes }) => sum + sizeInBytes / 2, 0);
  const length = wanted ?? Math.min(16, Math.max(4, Math.round(affordableWork / Math.max(1, weights) / 4)));
  const longest = config.maxPositionEmbeddings;
  const rowLength = config.numKeyValueHeads * config.headDim;
  const farthest = Math.min(longest - length, Math.floor(longestPastInBytes / (8 * rowLength)));
  const starts = new Set<number>([0]);
  const addAround = (position: number): void => {
    const start = Math.min(Math.max(0, position - Math.ceil(length / 2)), longest - length);
    if (start >= 0 && start <= farthest) starts.add(start);
  };
  if (config.slidingWindow !== undefined) addAround(config.slidingWindow);
  if (config.modelType === 'phi3small') {
    const { blocksparseBlockSize: size, blocksparseNumLocalBlocks: local, blocksparseVertStride: stride } = config;
    addAround((local + 1) * size);
    addAround((local + 2 * stride) * size + Math.floor(size / 2));
  }
  const boundary = config.ropeScaling?.originalMaxPositionEmbeddings;
  if (boundary !== undefined) {
    // A pass that ends at length L0 takes the short list; one token more, and all of it takes the long one.
    for (const end of [boundary, boundary + 1]) {
      const start = end - length;
      if (start >= 0 && start <= farthest) starts.add(start);
    }
  }
  const random = createRandom(7);
  const past = Math.max(...starts) * rowLength;
  const pastKeys = random.normals(past, 1);
  const pastValues = random.normals(past, 1);
  return {
    stations: [...starts]
      .filter((start) => start === 0 || start + length <= longest)
      .sort((a, b) => a - b)
      .map((start) => {
        const numTokens = Math.min(length, longest);
        return {
          start,
          length: numTokens,
          list: factorListAt(config, start + numTokens),
          pastKeys: pastKeys.subarray(0, start * rowLength),
          pastValues: pastValues.subarray(0, start * rowLength),
        };
      }),
  };
}
