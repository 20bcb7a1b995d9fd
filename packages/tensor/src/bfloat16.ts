const float32Scratch = /* @__PURE__ */ new Float32Array(1);
const bitScratch = /* @__PURE__ */ new Uint32Array(float32Scratch.buffer);

/**
 * The value of a bfloat16 number: the upper half of a float32. Exact.
 *
 * @param bits - the 16 bits as a whole number from 0 to 65535
 * @example
 * bfloat16ToFloat32(0x3f80); // => 1
 */
export function bfloat16ToFloat32(bits: number): number {
  bitScratch[0] = bits << 16;
  return float32Scratch[0]!;
}

/**
 * The nearest bfloat16 number, ties to even; a NaN stays a quiet NaN.
 *
 * @param value - rounded to float32 first, as it would be in a float32 array
 * @returns the 16 bits
 * @example
 * float32ToBfloat16(1); // => 0x3f80
 * // a tie goes to the even neighbour
 * float32ToBfloat16(1.00390625); // => 0x3f80
 */
export function float32ToBfloat16(value: number): number {
  float32Scratch[0] = value;
  const bits = bitScratch[0]!;
  const isNotANumber = (bits & 0x7f800000) === 0x7f800000 && (bits & 0x7fffff) !== 0;
  if (isNotANumber) return (bits >>> 16) | 0x40;
  const roundingBias = 0x7fff + ((bits >>> 16) & 1);
  return ((bits + roundingBias) >>> 16) & 0xffff;
}
