import { EXPONENTIAL, EXPONENTIAL_E } from './control';


/** a · b + c: fused where the engine has relaxed SIMD, else rounded twice. */
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, c) : f32x4.add(f32x4.mul(a, b), c);
}

@inline
export function sumOf(v: v128): f32 {
  return (
    f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3))
  );
}

@inline
export function largestOf(v: v128): f32 {
  return max(
    max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)),
    max(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)),
  );
}

// 16-bit numbers are stored in pairs (0, 4), (1, 5), (2, 6), (3, 7) of eight: the even lanes are then the first four and the
// odd lanes the last four, and no shuffle is needed to widen them.

// A widened float16 has an exponent that is 112 too low. Kernels multiply the other factor of a product by 2^96 beforehand and
// the sum by 2^16 afterwards: 2^112 at once would overflow, and 2^112 afterwards would let small products vanish.

/** Makes the sum right again. */
@inline
export function timesTwoTo16(v: v128): v128 {
  return f32x4.mul(v, f32x4.splat(65536));
}

/**
 * The even lanes of eight float16 as float32, times 2^-112. Exact for subnormals too; wrong for infinities and NaN.
 *
 * @param bits - `FLOAT16_BITS`, loaded once by the caller: the engine would load it at every use
 */
@inline
export function float16Even(v: v128, bits: v128): v128 {
  return v128.and(i32x4.shr_s(i32x4.shl(v, 16), 3), bits);
}

@inline
export function float16Odd(v: v128, bits: v128): v128 {
  return v128.and(i32x4.shr_s(v, 3), bits);
}

@inline
export function bfloat16Even(v: v128, bits: v128): v128 {
  return i32x4.shl(v, 16);
}

/** @param bits - `HIGH_HALVES` */
@inline
export function bfloat16Odd(v: v128, bits: v128): v128 {
  return v128.and(v, bits);
}

/** Where number `i` of a row of 16-bit numbers is stored, in units of 2 bytes: see above. */
@inline
export function interleavedIndex(i: usize): usize {
  return (i & ~(<usize>7)) + ((i & 3) << 1) + ((i >> 2) & 1);
}

@inline
export function float16ToFloat32(h: u32): f32 {
  return reinterpret<f32>(((h & 0x8000) << 16) | ((h & 0x7fff) << 13)) * reinterpret<f32>(0x77800000); // 2^112
}

/** Rounds to the nearest float16, ties to even; what is too large, and NaN, becomes the largest finite one. */
export function float32ToFloat16(value: f32): u32 {
  const bits = reinterpret<u32>(value);
  const sign = (bits >> 16) & 0x8000;
  const magnitude = reinterpret<f32>(bits & 0x7fffffff);
  if (!(magnitude < 65504.0)) return sign | 0x7bff;
  if (magnitude < 6.103515625e-5) {
    // Subnormal: adding 0.5 leaves the number of units of 2^-24 in the low bits, rounded as every float32 sum is.
    return sign | (reinterpret<u32>(magnitude + 0.5) - reinterpret<u32>(<f32>0.5));
  }
  const low = bits & 0x7fffffff;
  const rounded = low + 0xfff + ((low >> 13) & 1);
  return sign | ((rounded - (112 << 23)) >> 13);
}

/** The same for four, which lie in the low halves of the lanes afterwards. A NaN becomes the largest, too. */
@inline
export function float32ToFloat16x4(value: v128): v128 {
  const sign = v128.and(i32x4.shr_u(value, 16), i32x4.splat(0x8000));
  const magnitude = i32x4.min_s(v128.and(value, i32x4.splat(0x7fffffff)), i32x4.splat(0x477fe000));
  const tie = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1));
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(magnitude, tie), i32x4.splat(0xfff - (112 << 23))), 13);
  const subnormal = i32x4.sub(f32x4.add(magnitude, f32x4.splat(0.5)), f32x4.splat(0.5));
  return v128.or(sign, v128.bitselect(subnormal, normal, i32x4.lt_s(magnitude, i32x4.splat(0x38800000))));
}

/**
 * e^x to about one unit in the last place; 0 below -88, e^88 above 88; NaN stays NaN.
 *
 * e^x = 2^t · e^r, t the whole number next to x · log2(e), r = x - t · ln 2 with ln 2 in two parts, the first with zeros at its
 * end, so that t times it is exact (Cody and Waite). |r| ≤ ln 2 / 2, so that the first term of Taylor's series that is left out
 * is below 2^-27. How t becomes 2^t: `softmax.ts`, which has no use for this function because its scores are in powers of two.
 */
@inline
export function exp4(x: v128): v128 {
  // `pmin` and `pmax` are one instruction and keep a NaN that is their first operand.
  const clamped = f32x4.pmin(f32x4.pmax(x, v128.load(EXPONENTIAL_E)), v128.load(EXPONENTIAL_E, 16));
  const magic = v128.load(EXPONENTIAL, 16);
  const shifted = madd(clamped, v128.load(EXPONENTIAL_E, 32), magic);
  const t = f32x4.sub(shifted, magic);
  let r = madd(t, v128.load(EXPONENTIAL_E, 48), clamped);
  r = madd(t, v128.load(EXPONENTIAL_E, 64), r);
  let p = madd(r, v128.load(EXPONENTIAL_E, 80), v128.load(EXPONENTIAL_E, 96));
  p = madd(r, p, v128.load(EXPONENTIAL_E, 112));
  p = madd(r, p, v128.load(EXPONENTIAL_E, 128));
  p = madd(r, p, v128.load(EXPONENTIAL_E, 144));
  p = madd(r, p, v128.load(EXPONENTIAL_E, 160));
  const one = v128.load(EXPONENTIAL_E, 176);
  p = madd(r, p, one);
  p = madd(r, p, one);
  return f32x4.mul(p, i32x4.shl(shifted, 23));
}

/** z / (1 + e^(-k·z)): silu with k = 1, quick-GELU with k = 1.702. */
@inline
export function sigmoidLinear4(z: v128, k: f32): v128 {
  const one = f32x4.splat(1.0);
  return f32x4.div(z, f32x4.add(one, exp4(f32x4.mul(z, f32x4.splat(-k)))));
}
