import { ArgumentError, ShapeError, type WeightMatrix } from '@phiblocks/tensor';
import { blockFormatOf } from '../block-formats.ts';
import { expectLength, expectRow } from '../expect-row.ts';
import { createQuantizedBlock } from '../quantized-block.ts';
import type { Int8Activations } from './dynamic-int8-activations.ts';

/**
 * One element of `y = x · Wᵀ` with activations in int8, groups of 32: the products of codes are summed as whole numbers,
 * per group of the weights, and scaled afterwards. This is what the fast kernels compute, here with the scaled sums in
 * float64.
 *
 * A minimum is multiplied with the sum of the group's quants: Σ (s · q + m) · (a · x) = a · (s · Σ qx + m · Σ x).
 *
 * @param matrix - weights in one of the block formats
 * @param row - which output
 * @param activations - from {@link dynamicInt8Activations}, groups of 32
 * @throws ArgumentError `ARGUMENT` for a row that does not exist, or a matrix in F32, F16 or BF16, which has no codes
 * @throws ShapeError `SHAPE` when the activations have another length than the columns or other groups than of 32
 * @example
 * const matrix = quantizeMatrix({ data: new Float32Array(32).fill(0.5), shape: [1, 32] }, 'Q4_0');
 * dotQ8(matrix, 0, dynamicInt8Activations(new Float32Array(32).fill(3))); // => 48
 */
export function dotQ8(matrix: WeightMatrix, row: number, activations: Int8Activations): number {
  const layout = blockFormatOf('dotQ8', matrix.format);
  if (layout === undefined) {
    throw new ArgumentError({
      function: 'dotQ8',
      argument: 'matrix',
      expected: 'a block format',
      got: matrix.format,
      hint: 'Float weights have no codes to multiply; use rowProduct.',
    });
  }
  const [rows, columns] = matrix.shape;
  expectRow('dotQ8', row, rows);
  expectLength('dotQ8', 'activations', activations.length, columns);
  if (activations.groupSize !== 32) {
    throw new ShapeError({
      function: 'dotQ8',
      argument: 'activations',
      expected: 'groups of 32',
      got: activations.groupSize,
    });
  }
  const { weightsPerBlock, bytesPerBlock, weightsPerGroup } = layout;
  const { quants, scales, sums } = activations;
  const block = createQuantizedBlock();
  let at = row * (columns / weightsPerBlock) * bytesPerBlock;
  let total = 0;
  for (let first = 0; first < columns; first += weightsPerBlock, at += bytesPerBlock) {
    layout.unpack(matrix.bytes, at, block);
    for (let start = 0, group = 0; start < weightsPerBlock; start += weightsPerGroup, group++) {
      let sum = 0;
      for (let i = start; i < start + weightsPerGroup; i++) sum += block.codes[i]! * quants[first + i]!;
      let scaled = block.d * block.scaleCodes[group]! * sum;
      const activationGroup = (first + start) >> 5;
      // Formats with a minimum have groups of 32, so the sums of quants are those of the same weights.
      if (block.m !== 0) scaled += block.m * block.minimumCodes[group]! * sums[activationGroup]!;
      total += scaled * scales[activationGroup]!;
    }
  }
  return total;
}
