import type { FloatTensor } from '@phiblocks/tensor';
import { createSeededRandom } from '@phiblocks/testing';

export interface DefinitionInput {
  queries: FloatTensor;
  keys: FloatTensor;
  values: FloatTensor;
  scale: number;
  queryStart: number;
  /** Whether the query at position i sees the key at position j. */
  sees: (i: number, j: number) => boolean;
}

/**
 * Attention as the papers define it, in float64: for each query head the whole matrix of scores, the mask, the softmax of
 * each row, and the weighted sum of the values. Returns the outputs `[T][H][D]` and the weights `[T][H][S]`.
 */
export function attentionByDefinition({ queries, keys, values, scale, queryStart, sees }: DefinitionInput): {
  outputs: number[];
  weights: number[];
} {
  const [numQueries, numHeads, headDim] = queries.shape as [number, number, number];
  const [numKeys, numKeyValueHeads] = keys.shape as [number, number, number];
  const outputs: number[] = [];
  const weights: number[] = [];
  for (let t = 0; t < numQueries; t++) {
    for (let h = 0; h < numHeads; h++) {
      const k = Math.floor((h * numKeyValueHeads) / numHeads);
      const scores = Array.from({ length: numKeys }, (_, j) => {
        if (!sees(queryStart + t, j)) return Number.NEGATIVE_INFINITY;
        let score = 0;
        for (let d = 0; d < headDim; d++) {
          score +=
            queries.data[(t * numHeads + h) * headDim + d]! * keys.data[(j * numKeyValueHeads + k) * headDim + d]!;
        }
        return scale * score;
      });
      const largest = Math.max(...scores);
      const exponentials = scores.map((score) => Math.exp(score - largest));
      const total = exponentials.reduce((a, b) => a + b, 0);
      const row = exponentials.map((x) => x / total);
      weights.push(...row);
      for (let d = 0; d < headDim; d++) {
        outputs.push(
          row.reduce((sum, weight, j) => sum + weight * values.data[(j * numKeyValueHeads + k) * headDim + d]!, 0),
        );
      }
    }
  }
  return { outputs, weights };
}

/** Seeded normal numbers of a shape. */
export function randomTensor(seed: number, ...shape: number[]): FloatTensor {
  return { data: createSeededRandom(seed).normals(shape.reduce((a, b) => a * b, 1)), shape };
}
