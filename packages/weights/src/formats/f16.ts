import { halfToFloat } from './half-float.ts';

const float32Scratch = /* @__PURE__ */ new Float32Array(1);
const bitScratch = /* @__PURE__ */ new Uint32Array(float32Scratch.buffer);

/**
 * Widens little-endian float16 weights, exactly.
 *
 * @param bytes - holds 2 bytes per weight from `offset`
 * @param out - filled entirely
 */
export function dequantizeF16Row(bytes: Uint8Array, offset: number, out: Float32Array): void {
  for (let i = 0, at = offset; i < out.length; i++, at += 2) {
    const bits = bytes[at]! | (bytes[at + 1]! << 8);
    const exponent = bits & 0x7c00;
    if (exponent !== 0 && exponent !== 0x7c00) {
      // As in `halfToFloat`, here without a call that could box its result.
      bitScratch[0] = ((bits & 0x8000) << 16) | (((bits & 0x7fff) << 13) + (112 << 23));
      out[i] = float32Scratch[0]!;
    } else {
      out[i] = halfToFloat(bits);
    }
  }
}
