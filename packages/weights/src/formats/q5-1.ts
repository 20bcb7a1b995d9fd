import { halfAt } from './half-float.ts';

/**
 * Q5_1: 32 weights in 24 bytes, a float16 scale d, a float16 minimum m, the 32 fifth bits, and 16 bytes of nibbles.
 * `w = d · q + m` with `q = nibble + 16 · bit`
 *
 * Bit j of the little-endian 32-bit word belongs to weight j; byte j holds the nibbles of weights j and j + 16.
 *
 * Source: llama.cpp `ggml/src/ggml-common.h` (block_q5_1).
 *
 * @param bytes - whole blocks from `offset`
 * @param out - filled entirely; its length is a multiple of 32
 */
export function dequantizeQ5_1Row(bytes: Uint8Array, offset: number, out: Float32Array): void {
  for (let first = 0, block = offset; first < out.length; first += 32, block += 24) {
    const d = halfAt(bytes, block);
    const m = halfAt(bytes, block + 2);
    const low = bytes[block + 4]! | (bytes[block + 5]! << 8); //   fifth bits of weights 0 to 15
    const high = bytes[block + 6]! | (bytes[block + 7]! << 8); // of weights 16 to 31
    for (let j = 0; j < 16; j++) {
      const nibbles = bytes[block + 8 + j]!;
      out[first + j] = d * ((nibbles & 15) | (((low >> j) & 1) << 4)) + m;
      out[first + j + 16] = d * ((nibbles >> 4) | (((high >> j) & 1) << 4)) + m;
    }
  }
}
