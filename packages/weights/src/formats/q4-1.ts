import { halfAt } from './half-float.ts';

/**
 * Q4_1: 32 weights in 20 bytes, a float16 scale d, a float16 minimum m and 16 bytes of nibbles. `w = d · q + m`
 *
 * Byte j holds weight j in its low nibble and weight j + 16 in its high one.
 *
 * Source: llama.cpp `ggml/src/ggml-common.h` (block_q4_1).
 *
 * @param bytes - whole blocks from `offset`
 * @param out - filled entirely; its length is a multiple of 32
 */
export function dequantizeQ4_1Row(bytes: Uint8Array, offset: number, out: Float32Array): void {
  for (let first = 0, block = offset; first < out.length; first += 32, block += 20) {
    const d = halfAt(bytes, block);
    const m = halfAt(bytes, block + 2);
    for (let j = 0; j < 16; j++) {
      const nibbles = bytes[block + 4 + j]!;
      out[first + j] = d * (nibbles & 15) + m;
      out[first + j + 16] = d * (nibbles >> 4) + m;
    }
  }
}
