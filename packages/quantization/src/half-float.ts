import { float32ToFloat16 } from '@phiblocks/tensor';

const float32Scratch = new Float32Array(1);
const bitScratch = new Uint32Array(float32Scratch.buffer);

/** The value of an IEEE 754 binary16 number, exactly, without `Math.pow`: it is called once per block. @internal */
export function halfToFloat(bits: number): number {
  const exponent = bits & 0x7c00;
  if (exponent === 0) {
    const magnitude = (bits & 0x3ff) / 16777216; // zero and subnormals count in 2^-24
    return bits & 0x8000 ? -magnitude : magnitude;
  }
  if (exponent === 0x7c00) {
    if (bits & 0x3ff) return Number.NaN;
    return bits & 0x8000 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  // float32 has 13 more bits of fraction, and an exponent bias of 127 in place of 15.
  bitScratch[0] = ((bits & 0x8000) << 16) | (((bits & 0x7fff) << 13) + (112 << 23));
  return float32Scratch[0]!;
}

/** The binary16 number at `offset`, low byte first. @internal */
export function halfAt(bytes: Uint8Array, offset: number): number {
  return halfToFloat(bytes[offset]! | (bytes[offset + 1]! << 8));
}

/** Writes the nearest binary16 number, ties to even, low byte first. @internal */
export function setHalf(bytes: Uint8Array, offset: number, value: number): void {
  const bits = float32ToFloat16(value);
  bytes[offset] = bits & 255;
  bytes[offset + 1] = bits >> 8;
}

/** The nearest binary16 value: what a reader of the file will see. @internal */
export function roundToHalf(value: number): number {
  return halfToFloat(float32ToFloat16(value));
}
