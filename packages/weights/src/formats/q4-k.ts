import { halfAt } from './half-float.ts';
import { minimumAt, scaleAt } from './six-bit-scales.ts';

/**
 * Q4_K: 256 weights in 144 bytes, float16 d and dmin, 12 bytes of 6-bit scales and minima, 128 bytes of nibbles.
 * `w = d · scale · q − dmin · minimum`, scale and minimum shared by 32 weights.
 *
 * Four chunks of 64 weights; in chunk c the low nibbles of its 32 bytes are the first 32 weights, the high ones the rest.
 *
 * Source: llama.cpp `ggml/src/ggml-common.h` (block_q4_K).
 *
 * @param bytes - whole blocks from `offset`
 * @param out - filled entirely; its length is a multiple of 256
 */
export function dequantizeQ4_KRow(bytes: Uint8Array, offset: number, out: Float32Array): void {
  for (let first = 0, block = offset; first < out.length; first += 256, block += 144) {
    const d = halfAt(bytes, block);
    const dmin = halfAt(bytes, block + 2);
    for (let chunk = 0; chunk < 4; chunk++) {
      const lowScale = d * scaleAt(bytes, block + 4, 2 * chunk);
      const lowMinimum = dmin * minimumAt(bytes, block + 4, 2 * chunk);
      const highScale = d * scaleAt(bytes, block + 4, 2 * chunk + 1);
      const highMinimum = dmin * minimumAt(bytes, block + 4, 2 * chunk + 1);
      const quants = block + 16 + 32 * chunk;
      const weights = first + 64 * chunk;
      for (let l = 0; l < 32; l++) {
        const nibbles = bytes[quants + l]!;
        out[weights + l] = lowScale * (nibbles & 15) - lowMinimum;
        out[weights + l + 32] = highScale * (nibbles >> 4) - highMinimum;
      }
    }
  }
}
