const float32Scratch = /* @__PURE__ */ new Float32Array(1);
const bitScratch = /* @__PURE__ */ new Uint32Array(float32Scratch.buffer);

/**
 * Copies little-endian float32 weights from any alignment.
 *
 * @param bytes - holds 4 bytes per weight from `offset`
 * @param out - filled entirely
 */
export function dequantizeF32Row(bytes: Uint8Array, offset: number, out: Float32Array): void {
  for (let i = 0, at = offset; i < out.length; i++, at += 4) {
    bitScratch[0] = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    out[i] = float32Scratch[0]!;
  }
}
