const float32Scratch = /* @__PURE__ */ new Float32Array(1);
const bitScratch = /* @__PURE__ */ new Uint32Array(float32Scratch.buffer);

/**
 * Widens little-endian bfloat16 weights, exactly: they are the upper halves of float32 numbers.
 *
 * @param bytes - holds 2 bytes per weight from `offset`
 * @param out - filled entirely
 */
export function dequantizeBF16Row(bytes: Uint8Array, offset: number, out: Float32Array): void {
  for (let i = 0, at = offset; i < out.length; i++, at += 2) {
    bitScratch[0] = (bytes[at]! << 16) | (bytes[at + 1]! << 24);
    out[i] = float32Scratch[0]!;
  }
}
