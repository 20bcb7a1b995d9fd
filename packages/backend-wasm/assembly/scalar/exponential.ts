const LOG2_E: f32 = 1.4426950408889634;
// ln 2 in two parts, the first with zeros at its end, so that t · LN2_HIGH is exact (Cody and Waite).
const LN2_HIGH: f32 = 0.693359375;
const LN2_LOW: f32 = -2.12194440e-4;
/** e^-87.3 is the smallest result that is not subnormal. */
const LOWEST: f32 = -87.3;

/** e^x as `exp4` of `../vector` computes it: 0 below -87.3, e^88 above 88; NaN stays NaN. */
export function exponential(x: f32): f32 {
  if (x < LOWEST) return 0;
  const clamped: f32 = x > 88 ? 88 : x;
  const t = nearest<f32>(clamped * LOG2_E);
  const r = clamped - t * LN2_HIGH - t * LN2_LOW;
  // Taylor's series; |r| ≤ ln 2 / 2, so that the first term left out is below 2^-27.
  let p: f32 = r * <f32>(1.0 / 5040.0) + <f32>(1.0 / 720.0);
  p = r * p + <f32>(1.0 / 120.0);
  p = r * p + <f32>(1.0 / 24.0);
  p = r * p + <f32>(1.0 / 6.0);
  p = r * p + 0.5;
  p = r * p + 1;
  p = r * p + 1;
  // A NaN cannot be converted; it is in `p` already.
  return x != x ? p : p * reinterpret<f32>((<i32>t + 127) << 23);
}

/** z / (1 + e^(-k·z)): silu with k = 1, quick-GELU with k = 1.702. */
export function sigmoidLinear(z: f32, k: f32): f32 {
  return z / (1 + exponential(-k * z));
}
