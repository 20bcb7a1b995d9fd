import { halfAt } from './half-float.ts';

/**
 * Q6_K: 256 weights in 210 bytes, 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed byte scales, and last
 * (not first) a float16 d. `w = d · scale · (q − 32)`, a scale shared by 16 weights.
 *
 * Two halves of 128 weights. In a half, position l (0 to 31) of four groups of 32 shares the nibbles of bytes l and l + 32
 * and the four bit pairs of one byte.
 *
 * Source: llama.cpp `ggml/src/ggml-common.h` (block_q6_K).
 *
 * @param bytes - whole blocks from `offset`
 * @param out - filled entirely; its length is a multiple of 256
 */
export function dequantizeQ6_KRow(bytes: Uint8Array, offset: number, out: Float32Array): void {
  for (let first = 0, block = offset; first < out.length; first += 256, block += 210) {
    const d = halfAt(bytes, block + 208);
    for (let half = 0; half < 2; half++) {
      const low = block + 64 * half;
      const pairs = block + 128 + 32 * half;
      const scales = block + 192 + 8 * half;
      const weights = first + 128 * half;
      for (let l = 0; l < 32; l++) {
        const scale = scales + (l >> 4);
        const nibbles = bytes[low + l]!;
        const laterNibbles = bytes[low + l + 32]!;
        const pair = bytes[pairs + l]!;
        out[weights + l] = d * signed(bytes[scale]!) * (((nibbles & 15) | ((pair & 3) << 4)) - 32);
        out[weights + l + 32] = d * signed(bytes[scale + 2]!) * (((laterNibbles & 15) | ((pair & 12) << 2)) - 32);
        out[weights + l + 64] = d * signed(bytes[scale + 4]!) * (((nibbles >> 4) | (pair & 48)) - 32);
        out[weights + l + 96] = d * signed(bytes[scale + 6]!) * (((laterNibbles >> 4) | ((pair & 192) >> 2)) - 32);
      }
    }
  }
}

function signed(byte: number): number {
  return (byte << 24) >> 24;
}
