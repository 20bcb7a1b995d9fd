import { float16ToFloat32, type WeightFormat } from '@phiblocks/tensor';

// The block formats of GGUF, taken apart into integers, scales and offsets. No value changes: products of a float16 scale and
// a 6 or 8 bit sub-scale fit into a float32.
// Source: llama.cpp `ggml/src/ggml-common.h` (layouts) and `ggml-quants.c` (`dequantize_row_…`).

/** One row, taken apart. */
export interface UnpackedRow {
  /** The stored integers, none negative. */
  readonly integers: Uint8Array;
  /** One per group. */
  readonly scales: Float32Array;
  /** One per group; zeros where the format has none. */
  readonly offsets: Float32Array;
}

interface BlockReader {
  readonly weights: number;
  readonly bytes: number;
  /** Takes the block at byte `at` apart; `block` counts the blocks of the row. */
  read(view: DataView, at: number, block: number, row: UnpackedRow): void;
}

const readers: Partial<Record<WeightFormat, BlockReader>> = {
  Q4_0: { weights: 32, bytes: 18, read: (view, at, block, row) => readNibbles(view, at, block, row, 2, -1, -1) },
  Q4_1: { weights: 32, bytes: 20, read: (view, at, block, row) => readNibbles(view, at, block, row, 4, 2, -1) },
  Q5_0: { weights: 32, bytes: 22, read: (view, at, block, row) => readNibbles(view, at, block, row, 6, -1, 2) },
  Q5_1: { weights: 32, bytes: 24, read: (view, at, block, row) => readNibbles(view, at, block, row, 8, 2, 4) },
  Q8_0: {
    weights: 32,
    bytes: 34,
    read(view, at, block, { integers, scales }) {
      scales[block] = readHalf(view, at);
      for (let i = 0; i < 32; i++) integers[32 * block + i] = view.getInt8(at + 2 + i) + 128;
    },
  },
  Q4_K: { weights: 256, bytes: 144, read: (view, at, block, row) => readSuperBlock(view, at, block, row, 16, -1) },
  Q5_K: { weights: 256, bytes: 176, read: (view, at, block, row) => readSuperBlock(view, at, block, row, 48, 16) },
  Q6_K: {
    weights: 256,
    bytes: 210,
    read(view, at, block, { integers, scales }) {
      const scale = readHalf(view, at + 208);
      for (let group = 0; group < 16; group++) scales[16 * block + group] = scale * view.getInt8(at + 192 + group);
      for (let i = 0; i < 256; i++) {
        // Halves of 128: four runs of 32 share 64 bytes of low nibbles and 32 bytes of high bits.
        const [half, run, place] = [i >> 7, (i >> 5) & 3, i & 31];
        const low = view.getUint8(at + 64 * half + 32 * (run & 1) + place) >> (run >= 2 ? 4 : 0);
        const high = view.getUint8(at + 128 + 32 * half + place) >> (2 * run);
        integers[256 * block + i] = (low & 15) | ((high & 3) << 4);
      }
    },
  },
};

/** Scale, perhaps offset, perhaps a fifth bit per weight, then nibbles: the low ones are the first half of the block. */
function readNibbles(
  view: DataView,
  at: number,
  block: number,
  { integers, scales, offsets }: UnpackedRow,
  nibblesAt: number,
  offsetAt: number,
  highBitsAt: number,
): void {
  scales[block] = readHalf(view, at);
  if (offsetAt >= 0) offsets[block] = readHalf(view, at + offsetAt);
  const high = highBitsAt >= 0 ? view.getUint32(at + highBitsAt, true) : 0;
  for (let i = 0; i < 16; i++) {
    const byte = view.getUint8(at + nibblesAt + i);
    integers[32 * block + i] = (byte & 15) | (((high >>> i) & 1) << 4);
    integers[32 * block + 16 + i] = (byte >> 4) | (((high >>> (i + 16)) & 1) << 4);
  }
}

/** Q4_K and Q5_K: eight groups of 32 with 6 bit scales and minima, which 12 bytes hold. */
function readSuperBlock(
  view: DataView,
  at: number,
  block: number,
  { integers, scales, offsets }: UnpackedRow,
  nibblesAt: number,
  highBitsAt: number,
): void {
  const scale = readHalf(view, at);
  const minimum = readHalf(view, at + 2);
  const small = (index: number): number => view.getUint8(at + 4 + index);
  for (let group = 0; group < 8; group++) {
    const isEarly = group < 4;
    const groupScale = isEarly ? small(group) & 63 : (small(group + 4) & 15) | ((small(group - 4) >> 6) << 4);
    const groupMinimum = isEarly ? small(group + 4) & 63 : (small(group + 4) >> 4) | ((small(group) >> 6) << 4);
    scales[8 * block + group] = scale * groupScale;
    offsets[8 * block + group] = -(minimum * groupMinimum);
    // Two groups share 32 bytes: the even one has the low nibbles.
    const bytesAt = at + nibblesAt + 32 * (group >> 1);
    for (let i = 0; i < 32; i++) {
      const nibble = (view.getUint8(bytesAt + i) >> (group & 1 ? 4 : 0)) & 15;
      const high = highBitsAt >= 0 ? (view.getUint8(at + highBitsAt + i) >> group) & 1 : 0;
      integers[256 * block + 32 * group + i] = nibble | (high << 4);
    }
  }
}

/**
 * Takes one row of a block format apart.
 *
 * @param bytes - of the row
 * @param row - receives it; arrays of the right length
 */
export function unpackRow(format: WeightFormat, bytes: Uint8Array, row: UnpackedRow): void {
  const reader = readers[format];
  if (!reader) throw new RangeError(`${format} is no block format`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let block = 0; block * reader.bytes < bytes.length; block++) reader.read(view, block * reader.bytes, block, row);
}

/** Bytes of a row of a block format; undefined where the columns are no whole number of blocks. */
export function rowSizeInBytes(format: WeightFormat, columns: number): number | undefined {
  const reader = readers[format];
  if (!reader || columns % reader.weights !== 0) return undefined;
  return (columns / reader.weights) * reader.bytes;
}

function readHalf(view: DataView, at: number): number {
  return float16ToFloat32(view.getUint16(at, true));
}
