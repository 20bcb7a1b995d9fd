import { halfAt } from './half-float.ts';
import { minimumAt, scaleAt } from './six-bit-scales.ts';

/**
 * Q5_K: 256 weights in 176 bytes, float16 d and dmin, 12 bytes of 6-bit scales and minima, 32 bytes of fifth bits, 128
 * bytes of nibbles. `w = d · scale · q − dmin · minimum` with `q = nibble + 16 · bit`
 *
 * Nibbles as in Q4_K. Byte l of the fifth bits serves position l of all eight groups of 32: bit 2c is that of the low
 * nibble in chunk c, bit 2c + 1 that of the high one.
 *
 * Source: llama.cpp `ggml/src/ggml-common.h` (block_q5_K).
 *
 * @param bytes - whole blocks from `offset`
 * @param out - filled entirely; its length is a multiple of 256
 */
export function dequantizeQ5_KRow(bytes: Uint8Array, offset: number, out: Float32Array): void {
  for (let first = 0, block = offset; first < out.length; first += 256, block += 176) {
    const d = halfAt(bytes, block);
    const dmin = halfAt(bytes, block + 2);
    const fifthBits = block + 16;
    for (let chunk = 0; chunk < 4; chunk++) {
      const lowScale = d * scaleAt(bytes, block + 4, 2 * chunk);
      const lowMinimum = dmin * minimumAt(bytes, block + 4, 2 * chunk);
      const highScale = d * scaleAt(bytes, block + 4, 2 * chunk + 1);
      const highMinimum = dmin * minimumAt(bytes, block + 4, 2 * chunk + 1);
      const quants = block + 48 + 32 * chunk;
      const weights = first + 64 * chunk;
      for (let l = 0; l < 32; l++) {
        const nibbles = bytes[quants + l]!;
        const bits = bytes[fifthBits + l]! >> (2 * chunk);
        out[weights + l] = lowScale * ((nibbles & 15) | ((bits & 1) << 4)) - lowMinimum;
        out[weights + l + 32] = highScale * ((nibbles >> 4) | ((bits & 2) << 3)) - highMinimum;
      }
    }
  }
}
