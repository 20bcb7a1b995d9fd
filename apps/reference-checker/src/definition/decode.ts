// Stored numbers, element by element from the layout of each format: written here apart from the packages that are checked.
// Sources: the safetensors format; llama.cpp `ggml/src/ggml-common.h` and `dequantize_row_*` of `ggml-quants.c`.

/** Weights and bytes of one block, and the value of its element `i`, whose bytes begin at `at`. */
interface BlockDefinition {
  readonly weights: number;
  readonly bytes: number;
  valueAt(view: DataView, at: number, i: number): number;
}

const half = (view: DataView, at: number): number => {
  const bits = view.getUint16(at, true);
  const sign = bits >> 15 === 1 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
};

/** Nibble `i` of 32 weights in 16 bytes: the first half of the weights in the low nibbles, the second in the high ones. */
const nibbleOf32 = (view: DataView, at: number, i: number): number => {
  const byte = view.getUint8(at + (i % 16));
  return i < 16 ? byte & 15 : byte >> 4;
};

const bitOf32 = (view: DataView, at: number, i: number): number => (view.getUint8(at + (i >> 3)) >> (i & 7)) & 1;

/** Six-bit scale and minimum of group `j` of 32 weights, in the 12 bytes of a K block. */
function scaleAndMinimum(view: DataView, at: number, j: number): [number, number] {
  const byte = (n: number): number => view.getUint8(at + n);
  if (j < 4) return [byte(j) & 63, byte(j + 4) & 63];
  return [(byte(j + 4) & 15) + 16 * (byte(j - 4) >> 6), (byte(j + 4) >> 4) + 16 * (byte(j) >> 6)];
}

/** Nibble `i` of 256 weights in 128 bytes: 64 weights to 32 bytes, low nibbles first. */
function nibbleOf256(view: DataView, at: number, i: number): number {
  const byte = view.getUint8(at + 32 * Math.floor(i / 64) + (i % 32));
  return i % 64 < 32 ? byte & 15 : byte >> 4;
}

// Products and sums are rounded to float32 where llama.cpp holds them in a float: once, at the end.
const definitions: ReadonlyMap<string, BlockDefinition> = new Map(
  Object.entries<BlockDefinition>({
    F32: { weights: 1, bytes: 4, valueAt: (view, at) => view.getFloat32(at, true) },
    F16: { weights: 1, bytes: 2, valueAt: half },
    BF16: {
      weights: 1,
      bytes: 2,
      valueAt(view, at) {
        const bits = view.getUint16(at, true);
        const exponent = (bits >> 7) & 255;
        const fraction = bits & 127;
        const sign = bits >> 15 === 1 ? -1 : 1;
        if (exponent === 255) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
        return exponent === 0 ? sign * fraction * 2 ** -133 : sign * (128 + fraction) * 2 ** (exponent - 134);
      },
    },
    Q8_0: { weights: 32, bytes: 34, valueAt: (view, at, i) => half(view, at) * view.getInt8(at + 2 + i) },
    Q4_0: { weights: 32, bytes: 18, valueAt: (view, at, i) => half(view, at) * (nibbleOf32(view, at + 2, i) - 8) },
    Q4_1: {
      weights: 32,
      bytes: 20,
      valueAt: (view, at, i) => half(view, at) * nibbleOf32(view, at + 4, i) + half(view, at + 2),
    },
    Q5_0: {
      weights: 32,
      bytes: 22,
      valueAt: (view, at, i) => half(view, at) * (nibbleOf32(view, at + 6, i) + 16 * bitOf32(view, at + 2, i) - 16),
    },
    Q5_1: {
      weights: 32,
      bytes: 24,
      valueAt: (view, at, i) =>
        half(view, at) * (nibbleOf32(view, at + 8, i) + 16 * bitOf32(view, at + 4, i)) + half(view, at + 2),
    },
    Q4_K: {
      weights: 256,
      bytes: 144,
      valueAt(view, at, i) {
        const [scale, minimum] = scaleAndMinimum(view, at + 4, i >> 5);
        return half(view, at) * scale * nibbleOf256(view, at + 16, i) - half(view, at + 2) * minimum;
      },
    },
    Q5_K: {
      weights: 256,
      bytes: 176,
      valueAt(view, at, i) {
        const [scale, minimum] = scaleAndMinimum(view, at + 4, i >> 5);
        const fifth = (view.getUint8(at + 16 + (i % 32)) >> (i >> 5)) & 1;
        return half(view, at) * scale * (nibbleOf256(view, at + 48, i) + 16 * fifth) - half(view, at + 2) * minimum;
      },
    },
    Q6_K: {
      weights: 256,
      bytes: 210,
      valueAt(view, at, i) {
        const part = i >> 7; // two halves of 128 weights
        const group = (i >> 5) & 3;
        const l = i & 31;
        const byte = view.getUint8(at + 64 * part + l + 32 * (group & 1));
        const low = group < 2 ? byte & 15 : byte >> 4;
        const high = (view.getUint8(at + 128 + 32 * part + l) >> (2 * group)) & 3;
        const scale = view.getInt8(at + 192 + (i >> 4));
        return half(view, at + 208) * scale * (low + 16 * high - 32);
      },
    },
  }),
);

/** Whether the values of a format are defined here. */
export function isDefinedFormat(format: string): boolean {
  return definitions.has(format);
}

/** Bytes of a row of `columns` weights; NaN where the row is no whole number of blocks. */
export function rowBytes(format: string, columns: number): number {
  const { weights, bytes } = definitionOf(format);
  return columns % weights === 0 ? (columns / weights) * bytes : Number.NaN;
}

/** A stored matrix that gives its rows as numbers. */
export interface StoredMatrix {
  readonly rows: number;
  readonly columns: number;
  /** Fills `out` with row `row`; every value is exact, rounded once to float32. */
  decodeRow(row: number, out: Float32Array): void;
}

/** @param shape - `[out, in]`; further dimensions belong to the row */
export function storedMatrix(format: string, shape: readonly number[], bytes: Uint8Array): StoredMatrix {
  const { weights, bytes: blockBytes, valueAt } = definitionOf(format);
  const [rows = 1, ...rest] = shape;
  const columns = rest.reduce((product, size) => product * size, 1);
  const stride = rowBytes(format, columns);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isBfloat16 = format === 'BF16';
  const words = new Uint32Array(isBfloat16 ? columns : 0);
  const asFloats = new Float32Array(words.buffer);
  const halves = format === 'F16' && rows * columns > 2 ** 16 ? everyHalf() : undefined;
  return {
    rows,
    columns,
    decodeRow(row, out) {
      let at = row * stride;
      if (isBfloat16) {
        // The upper half of a float32, read without arithmetic: by far the most common format of large files.
        for (let i = 0; i < columns; i++, at += 2) words[i] = view.getUint16(at, true) << 16;
        out.set(asFloats);
        return;
      }
      if (halves) {
        for (let i = 0; i < columns; i++, at += 2) out[i] = halves[view.getUint16(at, true)]!;
        return;
      }
      for (let first = 0; first < columns; first += weights, at += blockBytes) {
        for (let i = 0; i < weights; i++) out[first + i] = valueAt(view, at, i);
      }
    },
  };
}

/** The value of each of the 65,536 float16 numbers: large matrices are read by looking up. */
function everyHalf(): Float32Array {
  const view = new DataView(new ArrayBuffer(2));
  return Float32Array.from({ length: 2 ** 16 }, (_, bits) => {
    view.setUint16(0, bits, true);
    return half(view, 0);
  });
}

/** All numbers of a tensor. */
export function decodeAll(format: string, shape: readonly number[], bytes: Uint8Array): Float32Array {
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  const out = new Float32Array(size);
  if (size > 0) storedMatrix(format, [1, size], bytes).decodeRow(0, out);
  return out;
}

function definitionOf(format: string): BlockDefinition {
  const definition = definitions.get(format);
  if (!definition) throw new RangeError(`no definition of the numbers of ${format}`);
  return definition;
}
