import { halfAt } from './half-float.ts';

/**
 * Q4_0: 32 weights in 18 bytes, a float16 scale d and 16 bytes of nibbles. `w = d · (q − 8)`
 *
 * Byte j holds weight j in its low nibble and weight j + 16 in its high one; the two are not neighbours. d may be negative.
 *
 * Source: llama.cpp `ggml/src/ggml-common.h` (block_q4_0).
 *
 * @param bytes - whole blocks from `offset`
 * @param out - filled entirely; its length is a multiple of 32
 */
export function dequantizeQ4_0Row(bytes: Uint8Array, offset: number, out: Float32Array): void {
  for (let first = 0, block = offset; first < out.length; first += 32, block += 18) {
    const d = halfAt(bytes, block);
    for (let j = 0; j < 16; j++) {
      const nibbles = bytes[block + 2 + j]!;
      out[first + j] = d * ((nibbles & 15) - 8);
      out[first + j + 16] = d * ((nibbles >> 4) - 8);
    }
  }
}
