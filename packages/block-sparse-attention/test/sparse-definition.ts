import type { BlockSparsePattern, FloatTensor } from '@phiblocks/tensor';
import { createSeededRandom } from '@phiblocks/testing';

/** Whether a query sees a key, position by position, as the published code defines it. */
export function sees(pattern: BlockSparsePattern, head: number, queryPosition: number, keyPosition: number): boolean {
  const queryBlock = Math.floor(queryPosition / pattern.blockSize);
  const keyBlock = Math.floor(keyPosition / pattern.blockSize);
  return (
    keyPosition <= queryPosition &&
    (queryBlock - keyBlock < pattern.numLocalBlocks ||
      (keyBlock + head * pattern.headStep + 1) % pattern.verticalStride === 0)
  );
}

/** Attention by the definition, in float64: all scores, the mask element by element, softmax, weighted sum. `[T][H][D]` */
export function attentionByDefinition(given: {
  queries: FloatTensor;
  keys: FloatTensor;
  values: FloatTensor;
  scale: number;
  pattern: BlockSparsePattern;
  queryStart: number;
  leftPadding?: number;
}): number[] {
  const { queries, keys, values, scale, pattern, queryStart, leftPadding = 0 } = given;
  const [numQueries, numHeads, headDim] = queries.shape as [number, number, number];
  const [numKeys, numKeyValueHeads] = keys.shape as [number, number];
  const outputs: number[] = [];
  for (let t = 0; t < numQueries; t++) {
    for (let h = 0; h < numHeads; h++) {
      const k = Math.floor((h * numKeyValueHeads) / numHeads);
      const weights = Array.from({ length: numKeys }, (_, j) => {
        const i = queryStart + t - leftPadding;
        if (j < leftPadding || i < 0 || !sees(pattern, h, i, j - leftPadding)) return 0;
        let score = 0;
        for (let d = 0; d < headDim; d++) {
          score +=
            queries.data[(t * numHeads + h) * headDim + d]! * keys.data[(j * numKeyValueHeads + k) * headDim + d]!;
        }
        return Math.exp(score * scale);
      });
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (let d = 0; d < headDim; d++) {
        const sum = weights.reduce((s, w, j) => s + w * values.data[(j * numKeyValueHeads + k) * headDim + d]!, 0);
        outputs.push(total === 0 ? 0 : sum / total);
      }
    }
  }
  return outputs;
}

/** Seeded normal numbers of a shape. */
export function randomTensor(seed: number, ...shape: number[]): FloatTensor {
  return { data: createSeededRandom(seed).normals(shape.reduce((a, b) => a * b, 1)), shape };
}
