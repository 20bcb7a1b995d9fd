import { ArgumentError, expectShape, type FloatTensor, ShapeError } from '@phiblocks/tensor';
import type { RotaryTable } from './rotary-table.ts';

/**
 * Rotates query or key heads by the angles of a table (rotate-half pairing: component i goes with component i + R/2, not
 * with its neighbour). Values are never rotated.
 *
 * Source: RoPE, arXiv:2104.09864 §3.4.2; `apply_rotary_pos_emb` of the published model code.
 * Shapes: T tokens, H heads, D headDim, R rotaryDim (even, R ≤ D).
 *
 * @param heads - float32 `[T, H, D]`; components R to D - 1 pass through
 * @param table - from `createRotaryTable`; cos and sin `[T, R/2]`
 * @param out - `[T, H, D]`; may be `heads`; allocated when absent
 * @returns `out`
 * @throws ShapeError `SHAPE` when T or D disagree with the table
 * @throws ArgumentError `ARGUMENT` when `out` overlaps `heads` without covering exactly the same elements
 * @example
 * const config = { headDim: 96, ropeTheta: 10000, maxPositionEmbeddings: 4096 };
 * const table = createRotaryTable(config, { start: 0, length: 4 });
 * const queries = { data: new Float32Array(4 * 32 * 96), shape: [4, 32, 96] };
 * applyRotary(queries, table).shape; // => [4, 32, 96]
 */
export function applyRotary(heads: FloatTensor, table: RotaryTable, out?: FloatTensor): FloatTensor {
  expectShape(heads, [null, null, null], { function: 'applyRotary', argument: 'heads' });
  const [numTokens, numHeads, headDim] = heads.shape as [number, number, number];
  expectShape(table.cos, [numTokens, null], { function: 'applyRotary', argument: 'table.cos' });
  const half = table.cos.shape[1]!;
  expectShape(table.sin, [numTokens, half], { function: 'applyRotary', argument: 'table.sin' });
  if (2 * half > headDim) {
    throw new ShapeError({
      function: 'applyRotary',
      argument: 'table',
      expected: `at most ${headDim / 2} angles per position for heads of ${headDim}`,
      got: half,
    });
  }
  const rotated = out ?? { data: new Float32Array(heads.data.length), shape: heads.shape };
  expectShape(rotated, heads.shape, { function: 'applyRotary', argument: 'out' });
  if (overlapsShifted(heads.data, rotated.data)) {
    throw new ArgumentError({
      function: 'applyRotary',
      argument: 'out',
      expected: 'heads itself or memory apart from it',
      got: `memory that overlaps heads, ${rotated.data.byteOffset - heads.data.byteOffset} bytes further on`,
    });
  }
  rotate(heads.data, table.cos.data, table.sin.data, rotated.data, numTokens, numHeads, headDim, half);
  return rotated;
}

function rotate(
  x: Float32Array,
  cos: Float32Array,
  sin: Float32Array,
  out: Float32Array,
  numTokens: number,
  numHeads: number,
  headDim: number,
  half: number,
): void {
  for (let t = 0; t < numTokens; t++) {
    for (let h = 0; h < numHeads; h++) {
      const head = (t * numHeads + h) * headDim;
      for (let i = 0; i < half; i++) {
        const c = cos[t * half + i]!;
        const s = sin[t * half + i]!;
        // Both are read before either is written: out may be x.
        const first = x[head + i]!;
        const second = x[head + half + i]!;
        out[head + i] = first * c - second * s;
        out[head + half + i] = second * c + first * s;
      }
      for (let i = head + 2 * half; i < head + headDim; i++) out[i] = x[i]!;
    }
  }
}

/** True when two arrays share memory but do not start at the same element: writing one would destroy what is still to be read. */
function overlapsShifted(a: Float32Array, b: Float32Array): boolean {
  return (
    a.buffer === b.buffer &&
    a.byteOffset !== b.byteOffset &&
    a.byteOffset < b.byteOffset + b.byteLength &&
    b.byteOffset < a.byteOffset + a.byteLength
  );
}
