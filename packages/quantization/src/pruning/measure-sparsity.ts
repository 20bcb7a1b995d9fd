import type { FloatTensor } from '@phiblocks/tensor';

/**
 * The share of weights that are zero, from 0 to 1; 0 for a tensor without elements.
 *
 * @param tensor - of any shape
 * @example
 * measureSparsity({ data: new Float32Array([0, 1, 0, 2]), shape: [2, 2] }); // => 0.5
 */
export function measureSparsity({ data }: FloatTensor): number {
  let zeros = 0;
  for (let i = 0; i < data.length; i++) if (data[i] === 0) zeros++;
  return data.length === 0 ? 0 : zeros / data.length;
}
