import { expectKnownOptions, type FloatTensor, Phi3Error } from '@phiblocks/tensor';
import {
  createPackedMatrix,
  expectDimensions,
  expectFiniteScales,
  expectMatrix,
  type PackedMatrix,
  type PackedTensor,
} from './packed-matrix.ts';

/** The tensors of one linear layer in AutoAWQ's GEMM layout. */
export interface AwqLayer {
  /** int32 `[in, out/8]`: eight outputs to a word */
  readonly qweight: PackedTensor;
  /** int32 `[in/group, out/8]`, packed likewise; the zero is stored as it is */
  readonly qzeros: PackedTensor;
  /** `[in/group, out]`, float16 in the file */
  readonly scales: FloatTensor;
}

/**
 * Reads a linear layer of an AWQ checkpoint: 4 bits, GEMM layout. `w = (q − zero) · scale`
 *
 * Eight output columns share a word in a fixed shuffle: the nibble at bit 4k is column [0, 2, 4, 6, 1, 3, 5, 7][k] of the
 * eight. The tensors lie `[in, out]`; the matrix that comes back is `[out, in]` like every other. Nothing is unpacked until
 * a row is asked for. The group size follows from the shapes.
 *
 * Source: AWQ, arXiv:2306.00978; layout of casper-hansen/AutoAWQ.
 *
 * @param layer - the three tensors of the layer
 * @throws ShapeError `SHAPE` when the shapes do not belong together
 * @throws Phi3Error `PACKED_LAYOUT` for a scale that is not finite; `OPTION_UNKNOWN` for a tensor the layout does not have
 * @example
 * const layer = parseAwq({
 *   qweight: { data: Int32Array.from([0x76543210, 0x76543210]), shape: [2, 1] },
 *   qzeros: { data: Int32Array.from([0x11111111]), shape: [1, 1] },
 *   scales: { data: new Float32Array(8).fill(0.5), shape: [1, 8] },
 * });
 * layer.shape; // => [8, 2]
 * const row = new Float32Array(2);
 * layer.dequantizeRow(2, row);
 * // output 2 is the nibble at bit 4: (1 − 1) · 0.5
 * row; // => [0, 0]
 */
export function parseAwq(layer: AwqLayer): PackedMatrix {
  expectKnownOptions('parseAwq', layer, ['qweight', 'qzeros', 'scales']);
  const { qweight, qzeros, scales } = layer;
  const [columns, words] = expectMatrix('parseAwq', 'qweight', qweight);
  const rows = 8 * words;
  const [groups] = expectMatrix('parseAwq', 'scales', scales);
  expectDimensions('parseAwq', 'scales', scales, [groups, rows]);
  expectDimensions('parseAwq', 'qzeros', qzeros, [groups, words]);
  if (groups === 0 || columns === 0 || columns % groups !== 0) {
    throw new Phi3Error({
      code: 'PACKED_LAYOUT',
      function: 'parseAwq',
      argument: 'scales',
      expected: `a number of groups that divides the ${columns} inputs`,
      got: groups,
    });
  }
  expectFiniteScales('parseAwq', scales);
  // Column 0 to 7 of eight lies at this bit: the inverse of the shuffle.
  const bitOfColumn = [0, 16, 4, 20, 8, 24, 12, 28];
  const nibble = (packed: PackedTensor, row: number, output: number): number =>
    (packed.data[row * words + (output >> 3)]! >>> bitOfColumn[output & 7]!) & 15;
  return createPackedMatrix({
    bits: 4,
    groupSize: columns / groups,
    rows,
    columns,
    scales: scales.data,
    groupOf: undefined,
    codeOf: (input, output) => nibble(qweight, input, output),
    zeroOf: (group, output) => nibble(qzeros, group, output),
  });
}
