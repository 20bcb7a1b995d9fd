import { halfAt } from './half-float.ts';

/**
 * Q8_0: 32 weights in 34 bytes, a float16 scale d and 32 signed bytes q. `w = d · q`
 *
 * Source: llama.cpp `ggml/src/ggml-common.h` (block_q8_0).
 *
 * @param bytes - whole blocks from `offset`
 * @param out - filled entirely; its length is a multiple of 32
 */
export function dequantizeQ8_0Row(bytes: Uint8Array, offset: number, out: Float32Array): void {
  for (let first = 0, block = offset; first < out.length; first += 32, block += 34) {
    const d = halfAt(bytes, block);
    for (let j = 0; j < 32; j++) out[first + j] = d * ((bytes[block + 2 + j]! << 24) >> 24);
  }
}
