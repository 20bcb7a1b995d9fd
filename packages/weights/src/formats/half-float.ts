const float32Scratch = new Float32Array(1);
const bitScratch = new Uint32Array(float32Scratch.buffer);

/**
 * The value of an IEEE 754 binary16 number, exactly, without a table and without `Math.pow`: it is called once per block
 * or once per weight.
 *
 * The exponent and fraction bits, moved to where float32 keeps them, are the value times 2^-112 (the exponent biases are
 * 15 and 127); subnormals come out right because the product normalises them.
 *
 * @internal
 */
export function halfToFloat(bits: number): number {
  bitScratch[0] = (bits & 0x7fff) << 13;
  const magnitude = float32Scratch[0]! * 2 ** 112;
  // Exponent 31 stands for infinity (fraction 0) and NaN; taken as a number it would begin at 65536.
  if (magnitude >= 65536) return magnitude > 65536 ? Number.NaN : bits & 0x8000 ? -Infinity : Infinity;
  return bits & 0x8000 ? -magnitude : magnitude;
}

/** The value of the binary16 number whose two bytes, low byte first, begin at `offset`. @internal */
export function halfAt(bytes: Uint8Array, offset: number): number {
  return halfToFloat(bytes[offset]! | (bytes[offset + 1]! << 8));
}
