import { halfAt } from './half-float.ts';

/**
 * Widens little-endian float16 weights, exactly.
 *
 * @param bytes - holds 2 bytes per weight from `offset`
 * @param out - filled entirely
 */
export function dequantizeF16Row(bytes: Uint8Array, offset: number, out: Float32Array): void {
  for (let i = 0; i < out.length; i++) out[i] = halfAt(bytes, offset + 2 * i);
}
