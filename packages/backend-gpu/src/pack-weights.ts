import { ShapeError, type WeightMatrix } from '@phiblocks/tensor';
import type { GpuMode } from './device.ts';
import { type PackedLayout, packedFormats, packedLayout } from './packed-layout.ts';
import { rowSizeInBytes, unpackRow } from './unpack-blocks.ts';

/** Some rows of a weight matrix as kernels read them: index k of row r lies at `[k][r]`. */
export interface PackedRows {
  readonly firstRow: number;
  readonly rows: number;
  /** Words of integers, or float32 weights where `layout` is undefined. Rows of the array as the kernel counts them. */
  readonly words: Float32Array | Uint32Array;
  readonly wordRows: number;
  /** `[groups][rows]`; empty for float weights. */
  readonly scales: Float32Array;
  readonly offsets: Float32Array;
}

/** The layout of a format in a mode; undefined for formats that are held as float32. */
export function layoutOf(matrix: WeightMatrix, mode: GpuMode): PackedLayout | undefined {
  const format = packedFormats[matrix.format];
  // Floats hold whole numbers exactly up to 2^24. On WebGPU two halves share a word of 32 bits.
  return format && packedLayout(format, mode === 'webgpu' ? 16 : 24);
}

/** How many rows of a matrix fit into an array of the device. */
export function rowsPerArray(matrix: WeightMatrix, layout: PackedLayout | undefined, mostElements: number): number {
  const columns = matrix.shape[1];
  const perRow = layout ? (columns / layout.groupSize) * layout.wordsPerGroup : columns;
  return Math.max(1, Math.floor(mostElements / Math.max(1, perRow)));
}

/**
 * Takes rows of a matrix apart and lays them side by side.
 *
 * @throws ShapeError `SHAPE` when the bytes are not those of the shape
 */
export function packRows(
  matrix: WeightMatrix,
  layout: PackedLayout | undefined,
  mode: GpuMode,
  firstRow: number,
  rows: number,
): PackedRows {
  return layout ? packIntegers(matrix, layout, mode, firstRow, rows) : packFloats(matrix, firstRow, rows);
}

function packFloats(matrix: WeightMatrix, firstRow: number, rows: number): PackedRows {
  const columns = matrix.shape[1];
  const words = new Float32Array(rows * columns);
  const decoded = new Float32Array(columns);
  for (let row = 0; row < rows; row++) {
    matrix.dequantizeRow(firstRow + row, decoded);
    for (let column = 0; column < columns; column++) words[column * rows + row] = decoded[column]!;
  }
  const none = new Float32Array(0);
  return { firstRow, rows, words, wordRows: columns, scales: none, offsets: none };
}

function packIntegers(
  matrix: WeightMatrix,
  layout: PackedLayout,
  mode: GpuMode,
  firstRow: number,
  rows: number,
): PackedRows {
  const { bits, groupSize, valuesPerWord, wordsPerGroup, hasOffset } = layout;
  const columns = matrix.shape[1];
  const groups = columns / groupSize;
  const rowBytes = rowSizeInBytes(matrix.format, columns);
  if (rowBytes === undefined || matrix.bytes.byteLength !== rowBytes * matrix.shape[0]) {
    throw new ShapeError({
      function: 'uploadWeight',
      argument: 'matrix.bytes',
      expected: `${rowBytes ? rowBytes * matrix.shape[0] : 'whole blocks of'} bytes for ${matrix.format} [${matrix.shape.join(', ')}]`,
      got: matrix.bytes.byteLength,
    });
  }
  const wordRows = groups * wordsPerGroup;
  const isInHalves = mode === 'webgpu';
  const words = isInHalves ? new Uint32Array(Math.ceil(wordRows / 2) * rows) : new Float32Array(wordRows * rows);
  const scales = new Float32Array(groups * rows);
  const offsets = new Float32Array(hasOffset ? groups * rows : 0);
  const unpacked = {
    integers: new Uint8Array(columns),
    scales: new Float32Array(groups),
    offsets: new Float32Array(groups),
  };
  for (let row = 0; row < rows; row++) {
    const start = (firstRow + row) * rowBytes;
    unpackRow(matrix.format, matrix.bytes.subarray(start, start + rowBytes), unpacked);
    for (let group = 0; group < groups; group++) {
      scales[group * rows + row] = unpacked.scales[group]!;
      if (hasOffset) offsets[group * rows + row] = unpacked.offsets[group]!;
      for (let index = 0; index < wordsPerGroup; index++) {
        const first = index * valuesPerWord;
        const count = Math.min(valuesPerWord, groupSize - first);
        let word = 0;
        for (let i = count - 1; i >= 0; i--) word = (word << bits) | unpacked.integers[group * groupSize + first + i]!;
        const k = group * wordsPerGroup + index;
        if (isInHalves) words[(k >> 1) * rows + row]! |= word << (16 * (k & 1));
        else words[k * rows + row] = word;
      }
    }
  }
  return { firstRow, rows, words, wordRows, scales, offsets };
}
