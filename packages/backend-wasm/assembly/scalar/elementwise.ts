import { argument, floatArgument, pointer, shareStart } from '../control';
import { gelu } from '../elementwise';
import { sigmoidLinear } from './exponential';

/** Arguments: a, b, size, target. */
export function add(thread: i32, threads: i32): void {
  const a = pointer(0);
  const b = pointer(1);
  const size = argument(2);
  const to = pointer(3);
  const end: usize = 4 * <usize>shareStart(size, thread + 1, threads);
  for (let at: usize = 4 * <usize>shareStart(size, thread, threads); at < end; at += 4) {
    store<f32>(to + at, load<f32>(a + at) + load<f32>(b + at));
  }
}

/** Arguments: x, factor, size, target. */
export function multiply(thread: i32, threads: i32): void {
  const x = pointer(0);
  const factor = floatArgument(1);
  const size = argument(2);
  const to = pointer(3);
  const end: usize = 4 * <usize>shareStart(size, thread + 1, threads);
  for (let at: usize = 4 * <usize>shareStart(size, thread, threads); at < end; at += 4) {
    store<f32>(to + at, load<f32>(x + at) * factor);
  }
}

/** Arguments: heads `[T, H, D]`, T, H, D, cos `[T, R/2]`, sin, R/2, target. Component i turns with component i + R/2. */
export function rotate(thread: i32, threads: i32): void {
  const x = pointer(0);
  const tokens = argument(1);
  const heads = argument(2);
  const headDim = argument(3);
  const cos = pointer(4);
  const sin = pointer(5);
  const half = <usize>argument(6);
  const target = pointer(7);
  const end = shareStart(tokens, thread + 1, threads);
  for (let token = shareStart(tokens, thread, threads); token < end; token++) {
    const c = cos + 4 * <usize>token * half;
    const s = sin + 4 * <usize>token * half;
    for (let head = 0; head < heads; head++) {
      const at: usize = 4 * (<usize>token * <usize>heads + <usize>head) * <usize>headDim;
      const from = x + at;
      const to = target + at;
      for (let i: usize = 0; i < half; i++) {
        const cosine = load<f32>(c + 4 * i);
        const sine = load<f32>(s + 4 * i);
        const a = load<f32>(from + 4 * i);
        const b = load<f32>(from + 4 * (i + half));
        store<f32>(to + 4 * i, a * cosine - b * sine);
        store<f32>(to + 4 * (i + half), b * cosine + a * sine);
      }
      memory.copy(to + 8 * half, from + 8 * half, 4 * <usize>headDim - 8 * half);
    }
  }
}

/** Arguments: x `[T, 2·I]`, T, I, target `[T, I]`, 0 for swiglu and 1 for gegelu, limit (infinite for none). */
export function gatedActivation(thread: i32, threads: i32): void {
  const x = pointer(0);
  const tokens = argument(1);
  const size = <usize>argument(2);
  const target = pointer(3);
  const isGegelu = argument(4) != 0;
  const limit = floatArgument(5);
  const end = shareStart(tokens, thread + 1, threads);
  for (let token = shareStart(tokens, thread, threads); token < end; token++) {
    const gates = x + 8 * <usize>token * size;
    const to = target + 4 * <usize>token * size;
    for (let i: usize = 0; i < size; i++) {
      const gate = load<f32>(gates + 4 * i);
      const up = load<f32>(gates + 4 * (i + size));
      store<f32>(to + 4 * i, isGegelu ? gegelu(gate, up, limit) : sigmoidLinear(gate, 1) * up);
    }
  }
}

/** quick-GELU(gate) · (up + 1), the gate clamped from above and `up` on both sides; infinities pass the clamp. */
function gegelu(gate: f32, up: f32, limit: f32): f32 {
  const g = abs(gate) == Infinity ? gate : min(gate, limit);
  const u = abs(up) == Infinity ? up : max(min(up, limit), -limit);
  return sigmoidLinear(g, 1.702) * (u + 1);
}

/** Arguments: x, size, target, 0 for quick-GELU and 1 for exact GELU. */
export function activation(thread: i32, threads: i32): void {
  const x = pointer(0);
  const size = argument(1);
  const to = pointer(2);
  const isExact = argument(3) != 0;
  const end: usize = 4 * <usize>shareStart(size, thread + 1, threads);
  for (let at: usize = 4 * <usize>shareStart(size, thread, threads); at < end; at += 4) {
    const z = load<f32>(x + at);
    store<f32>(to + at, isExact ? <f32>gelu(<f64>z) : sigmoidLinear(z, 1.702));
  }
}
