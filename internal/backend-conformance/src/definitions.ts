// The operations of the backend contract as their formulas, in float64 and without any haste. Nothing here comes from the
// product: a mistake shared with it would go unseen. Every definition returns, beside each value, the sum of the magnitudes
// it was made from, because rounding errors grow with that sum and not with the value.

/** Row-major numbers in float64. */
export interface Matrix {
  readonly data: Float64Array;
  readonly rows: number;
  readonly columns: number;
}

/** Values, and for each how far a computation with rounding may lie from it when its unit of rounding is 1. */
export interface Defined {
  readonly values: Float64Array;
  readonly magnitudes: Float64Array;
}

export function matrix(data: ArrayLike<number>, rows: number, columns: number): Matrix {
  return { data: Float64Array.from(data), rows, columns };
}

/** `x · Wᵀ (+ bias)`; the magnitude of an element is the sum of |x · w|. */
export function linear(x: Matrix, weight: Matrix, bias?: ArrayLike<number>): Defined {
  const values = new Float64Array(x.rows * weight.rows);
  const magnitudes = new Float64Array(values.length);
  for (let token = 0; token < x.rows; token++) {
    for (let row = 0; row < weight.rows; row++) {
      let sum = bias ? bias[row]! : 0;
      let size = Math.abs(sum);
      for (let i = 0; i < x.columns; i++) {
        const product = x.data[token * x.columns + i]! * weight.data[row * weight.columns + i]!;
        sum += product;
        size += Math.abs(product);
      }
      values[token * weight.rows + row] = sum;
      magnitudes[token * weight.rows + row] = size;
    }
  }
  return { values, magnitudes };
}

/**
 * How far `x · Wᵀ` may move when every 32 neighbours of x are rounded to 255 steps of their largest magnitude: half a step,
 * which is max/254, times the sum of |w| of the group, summed over groups.
 */
export function activationRounding(x: Matrix, weight: Matrix): Float64Array {
  const moved = new Float64Array(x.rows * weight.rows);
  for (let token = 0; token < x.rows; token++) {
    for (let group = 0; group < x.columns; group += 32) {
      const end = Math.min(group + 32, x.columns);
      let largest = 0;
      for (let i = group; i < end; i++) largest = Math.max(largest, Math.abs(x.data[token * x.columns + i]!));
      for (let row = 0; row < weight.rows; row++) {
        let sum = 0;
        for (let i = group; i < end; i++) sum += Math.abs(weight.data[row * weight.columns + i]!);
        moved[token * weight.rows + row]! += (largest / 254) * sum;
      }
    }
  }
  return moved;
}

export function rmsNorm(x: Matrix, weight: ArrayLike<number>, epsilon: number): Float64Array {
  return byRow(x, (row) => {
    const scale = Math.sqrt(mean(row.map((value) => value * value)) + epsilon);
    return row.map((value, i) => (value / scale) * weight[i]!);
  });
}

export function layerNorm(x: Matrix, weight: ArrayLike<number>, bias: ArrayLike<number>, epsilon: number) {
  return byRow(x, (row) => {
    const middle = mean(row);
    const scale = Math.sqrt(mean(row.map((value) => (value - middle) ** 2)) + epsilon);
    return row.map((value, i) => ((value - middle) / scale) * weight[i]! + bias[i]!);
  });
}

/** Rotate-half pairing: component i turns with component i + R/2 of the same head. */
export function rotate(x: Matrix, cos: Matrix, sin: Matrix, headDim: number): Float64Array {
  const out = Float64Array.from(x.data);
  const half = cos.columns;
  for (let token = 0; token < x.rows; token++) {
    for (let head = token * x.columns; head < (token + 1) * x.columns; head += headDim) {
      for (let i = 0; i < half; i++) {
        const c = cos.data[token * half + i]!;
        const s = sin.data[token * half + i]!;
        out[head + i] = x.data[head + i]! * c - x.data[head + half + i]! * s;
        out[head + half + i] = x.data[head + half + i]! * c + x.data[head + i]! * s;
      }
    }
  }
  return out;
}

export interface AttentionCase {
  readonly queries: Matrix;
  /** All positions of one layer, `[S, K·D]`. */
  readonly keys: Matrix;
  readonly values: Matrix;
  readonly headDim: number;
  readonly scale: number;
  /** Whether the query at `position` sees the key at `other`, for one query head. */
  sees(position: number, other: number, head: number): boolean;
  /** The position of the first query. */
  readonly start: number;
  /** The largest relative error of a stored key or value. */
  readonly storedError?: number;
}

/** Attention by its formula, with the largest error that stored keys and values of limited precision may cause. */
export function attention(options: AttentionCase): Defined {
  const { queries, keys, values, headDim, scale, sees, start, storedError = 0 } = options;
  const heads = queries.columns / headDim;
  const group = heads / (keys.columns / headDim);
  const out = new Float64Array(queries.data.length);
  const magnitudes = new Float64Array(out.length);
  for (let token = 0; token < queries.rows; token++) {
    for (let head = 0; head < heads; head++) {
      const query = token * queries.columns + head * headDim;
      const stored = Math.floor(head / group) * headDim;
      const seen: { score: number; other: number }[] = [];
      let wrong = 0;
      let largest = 0;
      for (let other = 0; other < keys.rows; other++) {
        if (!sees(start + token, other, head)) continue;
        let score = 0;
        let size = 0;
        for (let i = 0; i < headDim; i++) {
          const product = queries.data[query + i]! * keys.data[other * keys.columns + stored + i]! * scale;
          score += product;
          size += Math.abs(product);
          largest = Math.max(largest, Math.abs(values.data[other * values.columns + stored + i]!));
        }
        seen.push({ score, other });
        wrong = Math.max(wrong, size);
      }
      const top = Math.max(...seen.map(({ score }) => score));
      const total = seen.reduce((sum, { score }) => sum + Math.exp(score - top), 0);
      for (let i = 0; i < headDim; i++) {
        let sum = 0;
        for (const { score, other } of seen) {
          sum += (Math.exp(score - top) / total) * values.data[other * values.columns + stored + i]!;
        }
        out[query + i] = sum;
        // A score that is off by d multiplies its weight by at most e^d and the total by at least e^-d; weights add up to 1.
        const bound = (unit: number) => Math.expm1(2 * unit * wrong) * largest + unit * largest;
        // Float32: 2^-24 each for the product, the sum, the exponential and its argument, which is what 16 units leave room for.
        magnitudes[query + i] = bound(storedError) + bound(16 * 2 ** -24);
      }
    }
  }
  return { values: out, magnitudes };
}

export function silu(z: number): number {
  return z / (1 + Math.exp(-z));
}

export function quickGelu(z: number): number {
  return z / (1 + Math.exp(-1.702 * z));
}

/** `z · Φ(z)`; Φ by Simpson's rule over the density, which is exact here to 1e-13. */
export function gelu(z: number): number {
  const steps = 2000;
  const width = z / steps;
  let sum = 0;
  for (let i = 0; i <= steps; i++) {
    const t = i * width;
    sum += (i === 0 || i === steps ? 1 : i % 2 === 1 ? 4 : 2) * Math.exp((-t * t) / 2);
  }
  return z * (0.5 + (sum * width) / 3 / Math.sqrt(2 * Math.PI));
}

/** Phi-3-small's: the gate is clamped from above only, the linear part on both sides; infinities pass. */
export function gegelu(gate: number, up: number, limit = Number.POSITIVE_INFINITY): number {
  const g = Number.isFinite(gate) ? Math.min(gate, limit) : gate;
  const u = Number.isFinite(up) ? Math.min(Math.max(up, -limit), limit) : up;
  return quickGelu(g) * (u + 1);
}

/** The sparse mixer: per chosen expert a softmax over the scores that lie within 2·epsilon of the best. */
export function sparseMixer(scores: readonly number[], expertsPerToken: number, epsilon: number) {
  const left = [...scores];
  const chosen: { expert: number; weight: number }[] = [];
  for (let pick = 0; pick < expertsPerToken; pick++) {
    let expert = 0;
    for (let i = 1; i < left.length; i++) if (left[i]! > left[expert]!) expert = i;
    const best = left[expert]!;
    let total = 0;
    for (let i = 0; i < left.length; i++) {
      const far = (best - scores[i]!) / Math.max(Math.abs(scores[i]!), best) > 2 * epsilon;
      if (left[i] !== Number.NEGATIVE_INFINITY && !far) total += Math.exp(left[i]! - best);
    }
    chosen.push({ expert, weight: 1 / total });
    left[expert] = Number.NEGATIVE_INFINITY;
  }
  return chosen;
}

function mean(values: readonly number[]): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

function byRow(x: Matrix, define: (row: number[]) => number[]): Float64Array {
  const out: number[] = [];
  for (let row = 0; row < x.rows; row++) {
    out.push(...define([...x.data.subarray(row * x.columns, (row + 1) * x.columns)]));
  }
  return Float64Array.from(out);
}
