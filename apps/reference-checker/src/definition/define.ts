import { type Arithmetic, stored, sumError } from './arithmetic.ts';
import type { StoredMatrix } from './decode.ts';

// The operations of the family in float64, each with the error that rounding may cause. Rows are float32, because that is
// what an implementation gets; everything behind them is float64.
// Sources: spec pages named beside each; none of the packages that are checked is used.

/** What a block computes, and how far rounding may take it. */
export interface Defined {
  readonly exact: Float64Array;
  readonly budget: Float64Array;
  readonly width: number;
}

export function allocate(rows: number, width: number): Defined {
  return { exact: new Float64Array(rows * width), budget: new Float64Array(rows * width), width };
}

/** The float32 that is nearest: what the next block is fed. */
export function rounded({ exact }: Defined): Float32Array {
  return Float32Array.from(exact);
}

/** `y = x · Wᵀ + b`; x is `[rows, in]`. */
export function linear(
  x: Float32Array,
  weight: StoredMatrix,
  bias: Float32Array | undefined,
  arithmetic: Arithmetic,
): Defined {
  const { rows: out, columns } = weight;
  const rows = x.length / columns;
  const result = allocate(rows, out);
  const norms = Float64Array.from({ length: rows }, (_, row) => norm(x, row * columns, columns));
  const w = new Float32Array(columns);
  const relative = sumError(arithmetic, columns);
  for (let o = 0; o < out; o++) {
    weight.decodeRow(o, w);
    const wNorm = norm(w, 0, columns);
    const offset = bias ? bias[o]! : 0;
    for (let row = 0; row < rows; row++) {
      const y = dot(x, row * columns, w, columns) + offset;
      result.exact[row * out + o] = y;
      result.budget[row * out + o] = 2 * stored * (Math.abs(y) + Math.abs(offset)) + relative * norms[row]! * wNorm;
    }
  }
  return result;
}

function dot(x: Float32Array, at: number, w: Float32Array, length: number): number {
  let even = 0;
  let odd = 0;
  let i = 0;
  for (; i + 1 < length; i += 2) {
    even += x[at + i]! * w[i]!;
    odd += x[at + i + 1]! * w[i + 1]!;
  }
  if (i < length) even += x[at + i]! * w[i]!;
  return even + odd;
}

export function norm(x: ArrayLike<number>, at: number, length: number): number {
  let squares = 0;
  for (let i = 0; i < length; i++) squares += x[at + i]! * x[at + i]!;
  return Math.sqrt(squares);
}

/** RMSNorm, arXiv:1910.07467: `x / sqrt(mean(x²) + ε) · w`, the quotient rounded to float32 as the published code casts. */
export function rmsNorm(x: Float32Array, weight: Float32Array, epsilon: number, arithmetic: Arithmetic): Defined {
  const width = weight.length;
  const result = allocate(x.length / width, width);
  const relative = 4 * stored + sumError(arithmetic, width) + arithmetic.functions;
  for (let at = 0; at < x.length; at += width) {
    const deviation = Math.sqrt(norm(x, at, width) ** 2 / width + epsilon);
    for (let i = 0; i < width; i++) {
      const y = (x[at + i]! / deviation) * weight[i]!;
      result.exact[at + i] = y;
      result.budget[at + i] = relative * Math.abs(y);
    }
  }
  return result;
}

/** LayerNorm, arXiv:1607.06450, with the biased variance. */
export function layerNorm(
  x: Float32Array,
  weight: Float32Array,
  bias: Float32Array,
  epsilon: number,
  arithmetic: Arithmetic,
): Defined {
  const width = weight.length;
  const result = allocate(x.length / width, width);
  const sums = sumError(arithmetic, width);
  for (let at = 0; at < x.length; at += width) {
    let mean = 0;
    for (let i = 0; i < width; i++) mean += x[at + i]! / width;
    let variance = 0;
    for (let i = 0; i < width; i++) variance += (x[at + i]! - mean) ** 2 / width;
    const deviation = Math.sqrt(variance + epsilon);
    // Rounding of the mean shifts every element of the row.
    const shift = (sums * norm(x, at, width)) / Math.sqrt(width) + stored * Math.abs(mean);
    for (let i = 0; i < width; i++) {
      const scaled = ((x[at + i]! - mean) / deviation) * weight[i]!;
      const y = scaled + bias[i]!;
      result.exact[at + i] = y;
      result.budget[at + i] =
        (4 * stored + sums + arithmetic.functions) * Math.abs(scaled) +
        2 * stored * (Math.abs(y) + Math.abs(bias[i]!)) +
        (Math.abs(weight[i]!) / deviation) *
          (shift * (arithmetic.sums > 2 ** -40 ? 1 : 2 ** -20) + 2 ** -52 * Math.abs(mean));
    }
  }
  return result;
}

export function add(a: Float32Array, b: ArrayLike<number>, width: number): Defined {
  const result = allocate(a.length / width, width);
  for (let i = 0; i < a.length; i++) {
    const y = a[i]! + b[i % b.length]!;
    result.exact[i] = y;
    result.budget[i] = 2 * stored * Math.abs(y);
  }
  return result;
}

export function scale(x: ArrayLike<number>, factor: number, width: number): Defined {
  const result = allocate(x.length / width, width);
  for (let i = 0; i < x.length; i++) {
    const y = x[i]! * factor;
    result.exact[i] = y;
    result.budget[i] = 4 * stored * Math.abs(y);
  }
  return result;
}

/** Values that are only moved. */
export function moved(values: ArrayLike<number>, width: number): Defined {
  return { exact: Float64Array.from(values), budget: new Float64Array(values.length), width };
}

export function columns(x: Float32Array, width: number, start: number, count: number): Float32Array {
  const rows = x.length / width;
  const out = new Float32Array(rows * count);
  for (let row = 0; row < rows; row++)
    out.set(x.subarray(row * width + start, row * width + start + count), row * count);
  return out;
}

const sigmoid = (z: number): number => 1 / (1 + Math.exp(-z));

/** The relative error of `z · sigmoid(c·z)`: exp magnifies the rounding of its argument. */
const sigmoidError = (z: number, { functions }: Arithmetic): number =>
  3 * stored + functions * (1 + Math.abs(z)) * (functions > 2 ** -40 ? 1 : 0.25);

/** SwiGLU, arXiv:2002.05202: `silu(gate) ⊙ up`; rows are `[gate | up]`. */
export function swiglu(x: Float32Array, size: number, arithmetic: Arithmetic): Defined {
  const rows = x.length / (2 * size);
  const result = allocate(rows, size);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < size; i++) {
      const gate = x[2 * row * size + i]!;
      const y = gate * sigmoid(gate) * x[(2 * row + 1) * size + i]!;
      result.exact[row * size + i] = y;
      result.budget[row * size + i] = (2 * stored + sigmoidError(gate, arithmetic)) * Math.abs(y);
    }
  }
  return result;
}

/** gegelu of Phi-3-small: gate clamped from above, the linear part from both sides, plus one. */
export function gegelu(x: Float32Array, size: number, limit: number | undefined, arithmetic: Arithmetic): Defined {
  const rows = x.length / (2 * size);
  const result = allocate(rows, size);
  const bound = limit ?? Number.POSITIVE_INFINITY;
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < size; i++) {
      const gate = x[2 * row * size + i]!;
      const up = x[(2 * row + 1) * size + i]!;
      const a = Number.isFinite(gate) ? Math.min(gate, bound) : gate;
      const b = Number.isFinite(up) ? Math.min(Math.max(up, -bound), bound) : up;
      const gelu = a * sigmoid(1.702 * a);
      result.exact[row * size + i] = gelu * (b + 1);
      result.budget[row * size + i] =
        Math.abs(gelu) *
        ((2 * stored + sigmoidError(2 * a, arithmetic)) * Math.abs(b + 1) + stored * (Math.abs(b) + 1));
    }
  }
  return result;
}

/** `z · sigmoid(1.702 z)` of CLIP. */
export function quickGelu(x: Float32Array, width: number, arithmetic: Arithmetic): Defined {
  const result = allocate(x.length / width, width);
  for (let i = 0; i < x.length; i++) {
    const z = x[i]!;
    const y = z * sigmoid(1.702 * z);
    result.exact[i] = y;
    result.budget[i] = (2 * stored + sigmoidError(2 * z, arithmetic)) * Math.abs(y);
  }
  return result;
}

/** The exact GELU `z · Φ(z)`, arXiv:1606.08415. */
export function gelu(x: Float32Array, width: number, arithmetic: Arithmetic): Defined {
  const result = allocate(x.length / width, width);
  for (let i = 0; i < x.length; i++) {
    const z = x[i]!;
    const y = z * normalDistribution(z);
    result.exact[i] = y;
    // erf of float32 implementations is off by a few 1e-7 in absolute terms.
    result.budget[i] = 4 * stored * Math.abs(y) + (arithmetic.functions + 2 ** -50) * Math.abs(z);
  }
  return result;
}

/**
 * Φ(z) by Simpson's rule on the density, which has nothing in common with the series of the package: from 0 to |z|, or, where
 * 0.5 minus that would lose the digits of a small result, from |z| on. The error is below 1e-12, and far out below 1e-7 of the
 * result.
 */
function normalDistribution(z: number): number {
  const size = Math.abs(z);
  if (z < -3) return integralOfDensity(size, size + 9, 2000);
  const part = integralOfDensity(0, Math.min(size, 12), 400);
  return z < 0 ? 0.5 - part : 0.5 + part;
}

function integralOfDensity(from: number, to: number, steps: number): number {
  const h = (to - from) / steps;
  let sum = 0;
  for (let i = 0; i <= steps; i++) {
    const t = from + i * h;
    sum += (i === 0 || i === steps ? 1 : i % 2 === 1 ? 4 : 2) * Math.exp((-t * t) / 2);
  }
  return (sum * h) / 3 / Math.sqrt(2 * Math.PI);
}
