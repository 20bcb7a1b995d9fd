import { ArgumentError, expectKnownOptions, type FloatTensor, Phi3Error, ShapeError } from '@phiblocks/tensor';
import {
  createPackedMatrix,
  expectDimensions,
  expectFiniteScales,
  expectMatrix,
  type PackedMatrix,
  type PackedTensor,
} from './packed-matrix.ts';

/** The tensors of one linear layer in AutoGPTQ's layout, and what its quantize_config says about them. */
export interface GptqLayer {
  /** int32 `[in · bits / 32, out]`: consecutive inputs share a word, low bits first */
  readonly qweight: PackedTensor;
  /** int32 `[ceil(in / group), out · bits / 32]`: consecutive outputs share a word, low bits first */
  readonly qzeros: PackedTensor;
  /** `[ceil(in / group), out]`, float16 in the file */
  readonly scales: FloatTensor;
  /** int32 `[in]`: the group of each input. Absent: input i is in group floor(i / groupSize). */
  readonly gIdx?: PackedTensor | undefined;
  /** `bits` of the configuration: 2, 4 or 8. 3 bits straddle words and are not read. */
  readonly bits: number;
  /** `group_size` of the configuration; −1 for one group over all inputs. */
  readonly groupSize: number;
  /** `checkpoint_format`: `'gptq'` stores zero − 1, `'gptq_v2'` the zero itself. `'gptq'` when absent. */
  readonly checkpointFormat?: 'gptq' | 'gptq_v2' | undefined;
}

/**
 * Reads a linear layer of a GPTQ checkpoint. `w = (q − zero) · scale` with zero = (stored + 1) modulo 2^bits.
 *
 * The tensors lie `[in, out]`; the matrix that comes back is `[out, in]` like every other. Nothing is unpacked until a row
 * is asked for.
 *
 * Source: GPTQ, arXiv:2210.17323; layout of AutoGPTQ/AutoGPTQ `auto_gptq/nn_modules/qlinear/qlinear_cuda_old.py`.
 *
 * @param layer - the tensors of the layer, bits and group size
 * @throws ShapeError `SHAPE` when the shapes do not belong together
 * @throws Phi3Error `PACKED_LAYOUT` for a scale that is not finite or a group that does not exist, `UNSUPPORTED` for 3 bits
 * or another checkpoint format, `OPTION_UNKNOWN`
 * @throws ArgumentError `ARGUMENT` for other bits or a group size that is neither −1 nor a whole number from 1 up
 * @example
 * const layer = parseGptq({
 *   qweight: { data: new Int32Array(8).fill(0x76543210), shape: [1, 8] },
 *   qzeros: { data: Int32Array.from([0x77777777]), shape: [1, 1] },
 *   scales: { data: new Float32Array(8).fill(0.5), shape: [1, 8] },
 *   bits: 4,
 *   groupSize: 8,
 * });
 * const row = new Float32Array(8);
 * layer.dequantizeRow(0, row);
 * row; // => [-4, -3.5, -3, -2.5, -2, -1.5, -1, -0.5]
 */
export function parseGptq(layer: GptqLayer): PackedMatrix {
  const name = 'parseGptq';
  expectKnownOptions(name, layer, ['qweight', 'qzeros', 'scales', 'gIdx', 'bits', 'groupSize', 'checkpointFormat']);
  const { qweight, qzeros, scales, gIdx } = layer;
  const bits = expectBits(layer.bits);
  const zeroShift = zeroShiftOf(layer.checkpointFormat ?? 'gptq');
  const perWord = 32 / bits;
  const [words, rows] = expectMatrix(name, 'qweight', qweight);
  const columns = words * perWord;
  if (rows % perWord !== 0) {
    throw new ShapeError({
      function: name,
      argument: 'qweight',
      expected: `a multiple of ${perWord} outputs`,
      got: qweight.shape,
    });
  }
  const groupSize = layer.groupSize === -1 ? columns : layer.groupSize;
  if (!Number.isSafeInteger(groupSize) || groupSize < 1) {
    throw new ArgumentError({
      function: name,
      argument: 'groupSize',
      expected: 'a whole number from 1 up, or −1 for one group in a matrix that has inputs',
      got: layer.groupSize,
    });
  }
  const groups = Math.ceil(columns / groupSize);
  expectDimensions(name, 'scales', scales, [groups, rows]);
  expectDimensions(name, 'qzeros', qzeros, [groups, rows / perWord]);
  expectFiniteScales(name, scales);

  const mask = 2 ** bits - 1;
  const zeroWords = rows / perWord;
  return createPackedMatrix({
    bits,
    groupSize,
    rows,
    columns,
    scales: scales.data,
    groupOf: gIdx === undefined ? undefined : groupsOfInputs(gIdx, columns, groups),
    codeOf: (input, output) =>
      (qweight.data[Math.floor(input / perWord) * rows + output]! >>> (bits * (input % perWord))) & mask,
    zeroOf(group, output) {
      const word = qzeros.data[group * zeroWords + Math.floor(output / perWord)]!;
      // A stored 15 is zero 0, not 16: the sum wraps within its bits.
      return ((word >>> (bits * (output % perWord))) + zeroShift) & mask;
    },
  });
}

function expectBits(bits: number): 2 | 4 | 8 {
  if (bits === 2 || bits === 4 || bits === 8) return bits;
  if (bits === 3) {
    throw new Phi3Error({
      code: 'UNSUPPORTED',
      function: 'parseGptq',
      argument: 'bits',
      expected: '2, 4 or 8',
      got: bits,
      hint: 'Three-bit codes straddle words.',
    });
  }
  throw new ArgumentError({ function: 'parseGptq', argument: 'bits', expected: '2, 4 or 8', got: bits });
}

function zeroShiftOf(checkpointFormat: string): number {
  if (checkpointFormat === 'gptq') return 1;
  if (checkpointFormat === 'gptq_v2') return 0;
  throw new Phi3Error({
    code: 'UNSUPPORTED',
    function: 'parseGptq',
    argument: 'checkpointFormat',
    expected: 'gptq or gptq_v2',
    got: checkpointFormat,
  });
}

function groupsOfInputs(gIdx: PackedTensor, columns: number, groups: number): Int32Array {
  if (gIdx.shape.length !== 1 || gIdx.shape[0] !== columns || gIdx.data.length !== columns) {
    throw new ShapeError({
      function: 'parseGptq',
      argument: 'gIdx',
      expected: `shape [${columns}]`,
      got: gIdx.shape,
    });
  }
  const groupOf = new Int32Array(columns);
  for (let i = 0; i < columns; i++) {
    const group = gIdx.data[i]!;
    if (!(group >= 0 && group < groups)) {
      throw new Phi3Error({
        code: 'PACKED_LAYOUT',
        function: 'parseGptq',
        argument: 'gIdx',
        expected: `groups from 0 to ${groups - 1}`,
        got: group,
        where: { key: `[${i}]` },
      });
    }
    groupOf[i] = group;
  }
  return groupOf;
}
