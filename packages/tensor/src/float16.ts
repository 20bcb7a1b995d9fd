/**
 * The value of an IEEE 754 binary16 number. Exact: every binary16 value is a float32 value.
 *
 * @param bits - the 16 bits as a whole number from 0 to 65535
 * @example
 * float16ToFloat32(0x3c00); // => 1
 * float16ToFloat32(0x0001); // => 5.960464477539063e-8
 */
export function float16ToFloat32(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24; // zero and subnormals
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const float32Scratch = /* @__PURE__ */ new Float32Array(1);
const bitScratch = /* @__PURE__ */ new Uint32Array(float32Scratch.buffer);

/**
 * The nearest binary16 number, ties to even, as IEEE 754 rounds. Values of 65520 and more in magnitude become infinity; a
 * NaN stays a quiet NaN.
 *
 * @param value - rounded to float32 first, as it would be in a float32 array
 * @returns the 16 bits
 * @example
 * float32ToFloat16(1); // => 0x3c00
 * float32ToFloat16(65504); // => 0x7bff
 */
export function float32ToFloat16(value: number): number {
  float32Scratch[0] = value;
  const bits = bitScratch[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const exponent = (bits >>> 23) & 0xff;
  const fraction = bits & 0x7fffff;
  if (exponent === 0xff) return sign | 0x7c00 | (fraction === 0 ? 0 : 0x200 | (fraction >>> 13));
  const halfExponent = exponent - 127 + 15;
  if (halfExponent >= 31) return sign | 0x7c00;
  if (halfExponent <= 0) {
    if (halfExponent < -10) return sign; // below half of the smallest subnormal
    const significand = fraction | 0x800000;
    const shift = 14 - halfExponent;
    return sign | roundedShift(significand, shift);
  }
  // A carry out of the fraction runs into the exponent, which is what rounding up to the next power of two means.
  return sign | ((halfExponent << 10) + roundedShift(fraction, 13));
}

/** `value >> shift`, rounded to nearest, ties to even. */
function roundedShift(value: number, shift: number): number {
  const kept = value >>> shift;
  const rest = value & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return rest > half || (rest === half && (kept & 1) === 1) ? kept + 1 : kept;
}
