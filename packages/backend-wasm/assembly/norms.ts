import { argument, floatArgument, pointer, shareStart } from './control';

// Sums run in float64, so that the norm stays as exact as the reference's. Eight of them run side by side where there is SIMD,
// because an addition takes several cycles and would hold up the next one.

/** Arguments: x `[T, C]`, T, C, weight, epsilon, target. */
export function rmsNorm(thread: i32, threads: i32): void {
  const x = pointer(0);
  const tokens = argument(1);
  const size = <usize>argument(2);
  const weight = pointer(3);
  const epsilon = <f64>floatArgument(4);
  const target = pointer(5);
  const end = shareStart(tokens, thread + 1, threads);
  for (let token = shareStart(tokens, thread, threads); token < end; token++) {
    const row = x + 4 * <usize>token * size;
    const to = target + 4 * <usize>token * size;
    const inverse = 1 / sqrt(sumOfSquares(row, size, 0) / <f64>size + epsilon);
    // Rounded before the product with the weight, as the published code casts there.
    let i: usize = 0;
    if (ASC_FEATURE_SIMD) {
      const factor = f64x2.splat(inverse);
      for (; i + 4 <= size; i += 4) {
        const at = 4 * i;
        const first = f32x4.demote_f64x2_zero(f64x2.mul(twoOf(row + at), factor));
        const second = f32x4.demote_f64x2_zero(f64x2.mul(twoOf(row + at + 8), factor));
        const normal = v128.shuffle<i64>(first, second, 0, 2);
        v128.store(to + at, f32x4.mul(normal, v128.load(weight + at)));
      }
    }
    for (; i < size; i++) {
      store<f32>(to + 4 * i, <f32>(<f64>load<f32>(row + 4 * i) * inverse) * load<f32>(weight + 4 * i));
    }
  }
}

/** Arguments: x `[T, C]`, T, C, weight, bias, epsilon, target. */
export function layerNorm(thread: i32, threads: i32): void {
  const x = pointer(0);
  const tokens = argument(1);
  const size = <usize>argument(2);
  const weight = pointer(3);
  const bias = pointer(4);
  const epsilon = <f64>floatArgument(5);
  const target = pointer(6);
  const end = shareStart(tokens, thread + 1, threads);
  for (let token = shareStart(tokens, thread, threads); token < end; token++) {
    const row = x + 4 * <usize>token * size;
    const to = target + 4 * <usize>token * size;
    const mean = sum(row, size) / <f64>size;
    const inverse = 1 / sqrt(sumOfSquares(row, size, mean) / <f64>size + epsilon);
    for (let i: usize = 0; i < size; i++) {
      const normal = (<f64>load<f32>(row + 4 * i) - mean) * inverse;
      store<f32>(to + 4 * i, <f32>(normal * <f64>load<f32>(weight + 4 * i) + <f64>load<f32>(bias + 4 * i)));
    }
  }
}

/** Two numbers as float64. */
@inline
function twoOf(from: usize): v128 {
  return f64x2.promote_low_f32x4(v128.load64_zero(from));
}

function sum(row: usize, size: usize): f64 {
  let total: f64 = 0;
  let i: usize = 0;
  if (ASC_FEATURE_SIMD) {
    let a = f64x2.splat(0), b = a, c = a, d = a;
    for (; i + 8 <= size; i += 8) {
      const from = row + 4 * i;
      a = f64x2.add(a, twoOf(from));
      b = f64x2.add(b, twoOf(from + 8));
      c = f64x2.add(c, twoOf(from + 16));
      d = f64x2.add(d, twoOf(from + 24));
    }
    total = joined(a, b, c, d);
  }
  for (; i < size; i++) total += <f64>load<f32>(row + 4 * i);
  return total;
}

function sumOfSquares(row: usize, size: usize, mean: f64): f64 {
  let total: f64 = 0;
  let i: usize = 0;
  if (ASC_FEATURE_SIMD) {
    const m = f64x2.splat(mean);
    let a = f64x2.splat(0), b = a, c = a, d = a, x: v128;
    for (; i + 8 <= size; i += 8) {
      const from = row + 4 * i;
      x = f64x2.sub(twoOf(from), m);
      a = f64x2.add(a, f64x2.mul(x, x));
      x = f64x2.sub(twoOf(from + 8), m);
      b = f64x2.add(b, f64x2.mul(x, x));
      x = f64x2.sub(twoOf(from + 16), m);
      c = f64x2.add(c, f64x2.mul(x, x));
      x = f64x2.sub(twoOf(from + 24), m);
      d = f64x2.add(d, f64x2.mul(x, x));
    }
    total = joined(a, b, c, d);
  }
  for (; i < size; i++) {
    const one = <f64>load<f32>(row + 4 * i) - mean;
    total += one * one;
  }
  return total;
}

function joined(a: v128, b: v128, c: v128, d: v128): f64 {
  const all = f64x2.add(f64x2.add(a, b), f64x2.add(c, d));
  return f64x2.extract_lane(all, 0) + f64x2.extract_lane(all, 1);
}
