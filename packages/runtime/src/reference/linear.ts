import type { WeightMatrix } from '@phiblocks/tensor';

/**
 * `y = x · Wᵀ (+ bias)` for a weight matrix of any format. Sums run in float64 and are rounded once.
 *
 * Weights are visited row by row so that each is decoded once, however many tokens there are.
 *
 * @param x - rows of `in` elements
 * @param weight - `[out, in]`
 * @param bias - `[out]`
 * @returns rows of `out` elements
 */
export function linearRows(x: Float32Array, weight: WeightMatrix, bias?: Float32Array): Float32Array {
  const [rows, columns] = weight.shape;
  const tokens = x.length / columns;
  const out = new Float32Array(tokens * rows);
  const stored = float32View(weight);
  const decoded = stored ?? new Float32Array(columns);
  for (let row = 0; row < rows; row++) {
    let start = row * columns;
    if (!stored) {
      weight.dequantizeRow(row, decoded);
      start = 0;
    }
    const offset = bias ? bias[row]! : 0;
    for (let token = 0; token < tokens; token++) {
      out[token * rows + row] = dot(decoded, start, x, token * columns, columns) + offset;
    }
  }
  return out;
}

/** Four running sums, so that each addition need not wait for the one before it. */
function dot(a: Float32Array, aStart: number, b: Float32Array, bStart: number, length: number): number {
  let sum0 = 0;
  let sum1 = 0;
  let sum2 = 0;
  let sum3 = 0;
  let i = 0;
  for (; i + 3 < length; i += 4) {
    sum0 += a[aStart + i]! * b[bStart + i]!;
    sum1 += a[aStart + i + 1]! * b[bStart + i + 1]!;
    sum2 += a[aStart + i + 2]! * b[bStart + i + 2]!;
    sum3 += a[aStart + i + 3]! * b[bStart + i + 3]!;
  }
  for (; i < length; i++) sum0 += a[aStart + i]! * b[bStart + i]!;
  return sum0 + sum1 + (sum2 + sum3);
}

/** The stored bytes as float32 without a copy, where format, alignment and byte order allow it. */
function float32View({ format, bytes }: WeightMatrix): Float32Array | undefined {
  if (format !== 'F32' || bytes.byteOffset % 4 !== 0 || !isLittleEndian()) return undefined;
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

function isLittleEndian(): boolean {
  return new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
}
