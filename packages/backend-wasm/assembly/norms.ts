import { argument, floatArgument, pointer, shareStart } from './control';

// Sums run in float64: a row is read once more by whatever comes next, so the time does not count, and the norm stays as exact
// as the reference's.

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
    for (let i: usize = 0; i < size; i++) {
      // Rounded before the product with the weight, as the published code casts there.
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

function sum(row: usize, size: usize): f64 {
  let first: f64 = 0;
  let second: f64 = 0;
  let i: usize = 0;
  // Two sums, because an addition takes several cycles and would hold up the next one.
  for (; i + 2 <= size; i += 2) {
    first += <f64>load<f32>(row + 4 * i);
    second += <f64>load<f32>(row + 4 * i, 4);
  }
  if (i < size) first += <f64>load<f32>(row + 4 * i);
  return first + second;
}

function sumOfSquares(row: usize, size: usize, mean: f64): f64 {
  let first: f64 = 0;
  let second: f64 = 0;
  let i: usize = 0;
  for (; i + 2 <= size; i += 2) {
    const a = <f64>load<f32>(row + 4 * i) - mean;
    const b = <f64>load<f32>(row + 4 * i, 4) - mean;
    first += a * a;
    second += b * b;
  }
  if (i < size) {
    const a = <f64>load<f32>(row + 4 * i) - mean;
    first += a * a;
  }
  return first + second;
}
