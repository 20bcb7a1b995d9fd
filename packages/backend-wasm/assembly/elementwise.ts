import { argument, floatArgument, pointer, shareStart } from './control';
import { exp4, sigmoidLinear4 } from './vector';

// Vectors of four; what is left over at the end of a range goes through one more vector in registers, so that every element
// is computed the same way wherever a thread's share ends. Buffers have at least 16 spare bytes behind them, which may be
// read; they are not written.

/** The first `count` lanes of a vector to memory. */
@inline
function storeLanes(to: usize, v: v128, count: i32): void {
  if (count >= 4) {
    v128.store(to, v);
    return;
  }
  store<f32>(to, f32x4.extract_lane(v, 0));
  if (count > 1) store<f32>(to + 4, f32x4.extract_lane(v, 1));
  if (count > 2) store<f32>(to + 8, f32x4.extract_lane(v, 2));
}

/** Arguments: a, b, size, target. */
export function add(thread: i32, threads: i32): void {
  const a = pointer(0);
  const b = pointer(1);
  const size = argument(2);
  const to = pointer(3);
  const end = shareStart(size, thread + 1, threads);
  for (let i = shareStart(size, thread, threads); i < end; i += 4) {
    const at: usize = 4 * <usize>i;
    storeLanes(to + at, f32x4.add(v128.load(a + at), v128.load(b + at)), end - i);
  }
}

/** Arguments: x, factor, size, target. */
export function multiply(thread: i32, threads: i32): void {
  const x = pointer(0);
  const factor = f32x4.splat(floatArgument(1));
  const size = argument(2);
  const to = pointer(3);
  const end = shareStart(size, thread + 1, threads);
  for (let i = shareStart(size, thread, threads); i < end; i += 4) {
    const at: usize = 4 * <usize>i;
    storeLanes(to + at, f32x4.mul(v128.load(x + at), factor), end - i);
  }
}

/** Arguments: x `[T, width]`, T, width, start, count, target `[T, count]`. */
export function copyColumns(thread: i32, threads: i32): void {
  const x = pointer(0);
  const tokens = argument(1);
  const width = <usize>argument(2);
  const start = <usize>argument(3);
  const count = <usize>argument(4);
  const to = pointer(5);
  const end = shareStart(tokens, thread + 1, threads);
  for (let token = shareStart(tokens, thread, threads); token < end; token++) {
    memory.copy(to + 4 * <usize>token * count, x + 4 * (<usize>token * width + start), 4 * count);
  }
}

/** `to[rows[i]] += weights[i] · x[i]`: what an expert adds. Arguments: x `[n, width]`, n, width, rows, weights, to. */
export function addWeightedRows(thread: i32, threads: i32): void {
  const x = pointer(0);
  const count = argument(1);
  const width = argument(2);
  const rows = pointer(3);
  const weights = pointer(4);
  const to = pointer(5);
  const end = shareStart(count, thread + 1, threads);
  for (let i = shareStart(count, thread, threads); i < end; i++) {
    const from = x + 4 * <usize>i * <usize>width;
    const target = to + 4 * <usize>load<i32>(rows + 4 * <usize>i) * <usize>width;
    const weight = load<f32>(weights + 4 * <usize>i);
    for (let j: usize = 0; j < <usize>width; j++) {
      store<f32>(target + 4 * j, load<f32>(target + 4 * j) + weight * load<f32>(from + 4 * j));
    }
  }
}

/** Arguments: heads `[T, H, D]`, T, H, D, cos `[T, R/2]`, sin, R/2, target. */
export function rotate(thread: i32, threads: i32): void {
  const x = pointer(0);
  const tokens = argument(1);
  const heads = argument(2);
  const headDim = argument(3);
  const cos = pointer(4);
  const sin = pointer(5);
  const half = argument(6);
  const target = pointer(7);
  const end = shareStart(tokens, thread + 1, threads);
  for (let token = shareStart(tokens, thread, threads); token < end; token++) {
    const c = cos + 4 * <usize>token * <usize>half;
    const s = sin + 4 * <usize>token * <usize>half;
    for (let head = 0; head < heads; head++) {
      const at: usize = 4 * (<usize>token * <usize>heads + <usize>head) * <usize>headDim;
      const from = x + at;
      const to = target + at;
      const second: usize = 4 * <usize>half;
      for (let i = 0; i < half; i += 4) {
        const o: usize = 4 * <usize>i;
        const cosine = v128.load(c + o);
        const sine = v128.load(s + o);
        const a = v128.load(from + o);
        const b = v128.load(from + o + second);
        storeLanes(to + o, f32x4.sub(f32x4.mul(a, cosine), f32x4.mul(b, sine)), half - i);
        storeLanes(to + o + second, f32x4.add(f32x4.mul(b, cosine), f32x4.mul(a, sine)), half - i);
      }
      const rotated: usize = 8 * <usize>half;
      memory.copy(to + rotated, from + rotated, 4 * <usize>headDim - rotated);
    }
  }
}

/** Arguments: x `[T, 2·I]`, T, I, target `[T, I]`, 0 for swiglu and 1 for gegelu, limit (infinite for none). */
export function gatedActivation(thread: i32, threads: i32): void {
  const x = pointer(0);
  const tokens = argument(1);
  const size = argument(2);
  const target = pointer(3);
  const gegelu = argument(4) != 0;
  const limit = floatArgument(5);
  // The elements of all tokens in a row are shared, so that a single token's are, too.
  const all = tokens * size;
  const end = shareStart(all, thread + 1, threads);
  let at = shareStart(all, thread, threads);
  while (at < end) {
    const token = at / size;
    const last = min(end, (token + 1) * size);
    const gates = x + 4 * (<usize>at + <usize>token * <usize>size);
    gateRange(gates, gates + 4 * <usize>size, target + 4 * <usize>at, last - at, gegelu, limit);
    at = last;
  }
}

@inline
function gateRange(gates: usize, ups: usize, to: usize, count: i32, gegelu: bool, limit: f32): void {
  for (let i = 0; i < count; i += 4) {
    const at: usize = 4 * <usize>i;
    const gate = v128.load(gates + at);
    const up = v128.load(ups + at);
    storeLanes(to + at, gegelu ? gegelu4(gate, up, limit) : f32x4.mul(sigmoidLinear4(gate, 1), up), count - i);
  }
}

/** quick-GELU(gate) · (up + 1), the gate clamped from above and `up` on both sides; infinities pass the clamp. */
@inline
function gegelu4(gate: v128, up: v128, limit: f32): v128 {
  const most = f32x4.splat(limit);
  const infinite = f32x4.splat(Infinity);
  const clampedGate = f32x4.min(gate, most);
  const clampedUp = f32x4.max(f32x4.min(up, most), f32x4.neg(most));
  const g = v128.bitselect(gate, clampedGate, f32x4.eq(f32x4.abs(gate), infinite));
  const u = v128.bitselect(up, clampedUp, f32x4.eq(f32x4.abs(up), infinite));
  return f32x4.mul(sigmoidLinear4(g, 1.702), f32x4.add(u, f32x4.splat(1)));
}

/** Arguments: x, size, target, 0 for quick-GELU and 1 for exact GELU. */
export function activation(thread: i32, threads: i32): void {
  const x = pointer(0);
  const size = argument(1);
  const to = pointer(2);
  const exact = argument(3) != 0;
  const end = shareStart(size, thread + 1, threads);
  const start = shareStart(size, thread, threads);
  if (exact) {
    for (let i: usize = <usize>start; i < <usize>end; i++) store<f32>(to + 4 * i, <f32>gelu(<f64>load<f32>(x + 4 * i)));
  } else {
    for (let i = start; i < end; i += 4) {
      const at: usize = 4 * <usize>i;
      storeLanes(to + at, sigmoidLinear4(v128.load(x + at), 1.702), end - i);
    }
  }
}

/** z · Φ(z), Φ the normal distribution function. In float64, because it runs on few numbers. */
export function gelu(z: f64): f64 {
  const magnitude = abs(z) * Math.SQRT1_2;
  if (!(magnitude < 6.5)) return z != z ? z : z > 0 ? z : 0; // 1 - erf(6.5) is below 2^-64
  // erfc of the magnitude keeps its digits far out, where 1 - erf would lose them.
  let upper: f64;
  if (magnitude < 2.5) {
    // NIST Digital Library of Mathematical Functions, 7.6.1.
    let term = magnitude;
    let sum = magnitude;
    for (let n = 1; abs(term) > 1e-17 * sum; n++) {
      term *= (-magnitude * magnitude) / <f64>n;
      sum += term / <f64>(2 * n + 1);
    }
    upper = 0.5 - 0.5641895835477563 * sum; // 1/√π
  } else {
    // 7.9.1, a continued fraction.
    let fraction: f64 = 0;
    for (let n = 40; n >= 1; n--) fraction = (<f64>n * 0.5) / (magnitude + fraction);
    upper = 0.28209479177387814 * (exp(-magnitude * magnitude) / (magnitude + fraction)); // 1/(2·√π)
  }
  return z > 0 ? z * (1 - upper) : z * upper;
}

/** e^x in float64 for -50 < x ≤ 0. The standard library's brings a table, and data sections cost every instance. */
function exp(x: f64): f64 {
  const t = nearest(x * 1.4426950408889634);
  const r = x - t * 0.6931471805599453;
  let term: f64 = 1;
  let sum: f64 = 1;
  for (let n = 1; n < 18; n++) {
    term *= r / <f64>n;
    sum += term;
  }
  return sum * reinterpret<f64>((<i64>t + 1023) << 52);
}
