import type { FloatTensor } from '@phiblocks/tensor';

/**
 * CLIP's activation, `x · sigmoid(1.702 x)`, element by element.
 *
 * Source: OpenAI's CLIP (`QuickGELU`); arXiv:1606.08415 §2 gives the approximation.
 *
 * @param x - any shape
 * @returns a new tensor of the same shape
 * @example
 * quickGelu({ data: Float32Array.of(-1, 0, 1), shape: [3] }).data; // => [-0.15420423, 0, 0.84579575]
 */
export function quickGelu(x: FloatTensor): FloatTensor {
  const data = new Float32Array(x.data.length);
  for (let i = 0; i < data.length; i++) data[i] = x.data[i]! / (1 + Math.exp(-1.702 * x.data[i]!));
  return { data, shape: x.shape };
}
