import type { WeightMatrix } from '@phiblocks/tensor';
import { createWeightMatrix } from '@phiblocks/weights';
import { stored } from '../definition/arithmetic.ts';
import { createRandom } from './random.ts';

/**
 * Noise of the size that rounding in float32 has, put on every weight. A float32 sum of n products is off by about u·‖x‖·‖w‖;
 * weights that are each off by 2u·√n of themselves cause twice that. What a model with such weights gives shows how far
 * rounding may take each intermediate of this model on this prompt.
 *
 * Source: Monte Carlo arithmetic, Parker 1997.
 */
export function roundingNoise(seed: number): (key: string, matrix: WeightMatrix) => WeightMatrix {
  return (key, matrix) => {
    const [rows, columns] = matrix.shape;
    const random = createRandom([...key].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) | 0, seed));
    const values = new Float32Array(rows * columns);
    const size = 2 * stored * Math.sqrt(columns);
    for (let row = 0; row < rows; row++) {
      const out = values.subarray(row * columns, (row + 1) * columns);
      matrix.dequantizeRow(row, out);
      for (let i = 0; i < columns; i++) out[i]! *= 1 + size * (random.uniform() < 0.5 ? -1 : 1);
    }
    return createWeightMatrix('F32', [rows, columns], new Uint8Array(values.buffer));
  };
}

/** How many times the effect of such noise another order of summation may have: the worst of many elements, not their spread. */
export const noiseMargin = 16;
