import type { FloatTensor } from '@phiblocks/tensor';
import { erf } from './erf.ts';

/**
 * The exact GELU, `x · (1 + erf(x / √2)) / 2`, element by element: the projector's activation. Not the tanh approximation.
 *
 * Source: arXiv:1606.08415; `nn.GELU()` in `image_embedding_phi3_v.py`.
 *
 * @param x - any shape
 * @returns a new tensor of the same shape
 * @example
 * gelu({ data: Float32Array.of(-1, 0, 2), shape: [3] }).data; // => [-0.15865525, 0, 1.9544997]
 */
export function gelu(x: FloatTensor): FloatTensor {
  const data = new Float32Array(x.data.length);
  for (let i = 0; i < data.length; i++) data[i] = 0.5 * x.data[i]! * (1 + erf(x.data[i]! * Math.SQRT1_2));
  return { data, shape: x.shape };
}
