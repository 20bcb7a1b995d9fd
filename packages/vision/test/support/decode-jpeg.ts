import type { RgbImage } from '../../src/index.ts';

/**
 * A JPEG decoder for trusted test pictures: baseline, Huffman, three components without subsampling, no restart markers.
 * Its inverse transform and colour conversion use the integer arithmetic that libjpeg made customary, so that the bytes
 * equal those that Pillow decodes (the reference data holds their SHA-256).
 *
 * Source: ITU T.81; Loeffler, Ligtenberg, Moschytz, ICASSP 1989 (the transform); JFIF 1.02 (the colours).
 */
export function decodeJpeg(file: Uint8Array): RgbImage {
  const quantization: number[][] = [];
  const dcTables: Map<number, number>[] = [];
  const acTables: Map<number, number>[] = [];
  const components: { id: number; quantization: number; dc: number; ac: number; previous: number }[] = [];
  let width = 0;
  let height = 0;
  let offset = 2;
  for (;;) {
    const marker = file[offset + 1]!;
    const length = file[offset + 2]! * 256 + file[offset + 3]!;
    const body = file.subarray(offset + 4, offset + 2 + length);
    offset += 2 + length;
    if (marker === 0xdb) {
      for (let at = 0; at < body.length; at += 65) quantization[body[at]!] = [...body.subarray(at + 1, at + 65)];
    } else if (marker === 0xc4) {
      for (let at = 0; at < body.length; ) {
        const counts = body.subarray(at + 1, at + 17);
        const numSymbols = counts.reduce((sum, count) => sum + count, 0);
        const table = huffmanTable(counts, body.subarray(at + 17, at + 17 + numSymbols));
        (body[at]! < 16 ? dcTables : acTables)[body[at]! % 16] = table;
        at += 17 + numSymbols;
      }
    } else if (marker === 0xc0) {
      height = body[1]! * 256 + body[2]!;
      width = body[3]! * 256 + body[4]!;
      for (let at = 6; at < body.length; at += 3) {
        if (body[at + 1] !== 0x11) throw new Error('subsampling is not expected');
        components.push({ id: body[at]!, quantization: body[at + 2]!, dc: 0, ac: 0, previous: 0 });
      }
    } else if (marker === 0xda) {
      for (const [index, component] of components.entries()) {
        component.dc = body[2 + 2 * index]! >> 4;
        component.ac = body[2 + 2 * index]! % 16;
      }
      break;
    } else if ((marker >= 0xc1 && marker <= 0xcf) || marker === 0xdd) throw new Error('only baseline without restarts');
  }
  if (components.length !== 3) throw new Error('three components are expected');

  const nextBit = bitReader(file, offset);
  const columns = Math.ceil(width / 8);
  const planes = components.map(() => new Uint8Array(columns * 8 * Math.ceil(height / 8) * 8));
  const coefficients = new Int32Array(64);
  for (let y = 0; y < height; y += 8) {
    for (let x = 0; x < columns * 8; x += 8) {
      for (const [index, component] of components.entries()) {
        coefficients.fill(0);
        const steps = quantization[component.quantization]!;
        component.previous += signedBits(nextBit, symbol(nextBit, dcTables[component.dc]!));
        coefficients[0] = component.previous * steps[0]!;
        for (let k = 1; k < 64; k++) {
          const code = symbol(nextBit, acTables[component.ac]!);
          if (code === 0) break;
          k += code >> 4;
          if (code % 16 > 0) coefficients[zigzag[k]!] = signedBits(nextBit, code % 16) * steps[k]!;
        }
        inverseTransform(coefficients, planes[index]!, y * columns * 8 + x, columns * 8);
      }
    }
  }
  return { width, height, data: toRgb(planes as [Uint8Array, Uint8Array, Uint8Array], width, height, columns * 8) };
}

/** Symbols by their code with a leading 1, which keeps codes of different length apart. */
function huffmanTable(counts: Uint8Array, symbols: Uint8Array): Map<number, number> {
  const table = new Map<number, number>();
  let code = 0;
  let next = 0;
  for (const [index, count] of counts.entries()) {
    for (let i = 0; i < count; i++) table.set((1 << (index + 1)) | code++, symbols[next++]!);
    code *= 2;
  }
  return table;
}

function bitReader(file: Uint8Array, start: number): () => number {
  let offset = start;
  let bitsLeft = 0;
  let byte = 0;
  return () => {
    if (bitsLeft === 0) {
      byte = file[offset++]!;
      if (byte === 0xff && file[offset++] !== 0) throw new Error('a marker inside the picture is not expected');
      bitsLeft = 8;
    }
    return (byte >> --bitsLeft) & 1;
  };
}

function symbol(nextBit: () => number, table: Map<number, number>): number {
  let code = 1;
  while (code < 1 << 17) {
    code = code * 2 + nextBit();
    const found = table.get(code);
    if (found !== undefined) return found;
  }
  throw new Error('no such Huffman code');
}

/** T.81 F.2.2.1: values whose first bit is 0 are negative. */
function signedBits(nextBit: () => number, numBits: number): number {
  let value = 0;
  for (let i = 0; i < numBits; i++) value = value * 2 + nextBit();
  return numBits > 0 && value < 1 << (numBits - 1) ? value - (1 << numBits) + 1 : value;
}

/** Row-major place of the k-th coefficient: diagonals, up and down by turns. */
const zigzag = Array.from({ length: 64 }, (_, place) => place).sort((a, b) => {
  const diagonal = (place: number) => (place >> 3) + (place & 7);
  if (diagonal(a) !== diagonal(b)) return diagonal(a) - diagonal(b);
  return diagonal(a) % 2 === 0 ? b - a : a - b;
});

const fixed = (value: number) => Math.round(value * 8192);
const c = (k: number) => Math.SQRT2 * Math.cos((k * Math.PI) / 16);
const factors = {
  even: [fixed(c(6)), fixed(-c(2) - c(6)), fixed(c(2) - c(6))],
  all: fixed(c(3)),
  odd: [
    fixed(-c(1) + c(3) + c(5) - c(7)),
    fixed(c(1) + c(3) - c(5) + c(7)),
    fixed(c(1) + c(3) + c(5) - c(7)),
    fixed(c(1) + c(3) - c(5) - c(7)),
  ],
  sums: [fixed(c(7) - c(3)), fixed(-c(1) - c(3)), fixed(-c(3) - c(5)), fixed(c(5) - c(3))],
};

/** Columns first, keeping two fractional bits, then rows; adds 128 and clamps. */
function inverseTransform(block: Int32Array, to: Uint8Array, start: number, rowLength: number): void {
  for (let i = 0; i < 8; i++) transformLine(block, i, 8, 11);
  for (let i = 0; i < 8; i++) transformLine(block, 8 * i, 1, 18);
  for (let i = 0; i < 64; i++) {
    to[start + (i >> 3) * rowLength + (i & 7)] = Math.min(Math.max(block[i]! + 128, 0), 255);
  }
}

function transformLine(block: Int32Array, start: number, step: number, shift: number): void {
  const at = (index: number) => block[start + index * step]!;
  const common = (at(2) + at(6)) * factors.even[0]!;
  const even2 = common + at(6) * factors.even[1]!;
  const even3 = common + at(2) * factors.even[2]!;
  const even0 = (at(0) + at(4)) * 8192;
  const even1 = (at(0) - at(4)) * 8192;
  const evens = [even0 + even3, even1 + even2, even1 - even2, even0 - even3];

  const all = (at(7) + at(3) + at(5) + at(1)) * factors.all;
  const sum0 = (at(7) + at(1)) * factors.sums[0]!;
  const sum1 = (at(5) + at(3)) * factors.sums[1]!;
  const sum2 = (at(7) + at(3)) * factors.sums[2]! + all;
  const sum3 = (at(5) + at(1)) * factors.sums[3]! + all;
  const odds = [
    at(1) * factors.odd[3]! + sum0 + sum3,
    at(3) * factors.odd[2]! + sum1 + sum2,
    at(5) * factors.odd[1]! + sum1 + sum3,
    at(7) * factors.odd[0]! + sum0 + sum2,
  ];
  const half = 1 << (shift - 1);
  for (let i = 0; i < 4; i++) {
    block[start + i * step] = (evens[i]! + odds[i]! + half) >> shift;
    block[start + (7 - i) * step] = (evens[i]! - odds[i]! + half) >> shift;
  }
}

function toRgb(planes: [Uint8Array, Uint8Array, Uint8Array], width: number, height: number, rowLength: number) {
  const [luma, blueDifference, redDifference] = planes;
  const parts = (value: number) => Math.round(value * 65536);
  const clamp = (value: number) => Math.min(Math.max(value, 0), 255);
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += 3) {
      const at = y * rowLength + x;
      const blue = blueDifference[at]! - 128;
      const red = redDifference[at]! - 128;
      data[to] = clamp(luma[at]! + ((parts(1.402) * red + 32768) >> 16));
      data[to + 1] = clamp(luma[at]! + ((-parts(0.34414) * blue - parts(0.71414) * red + 32768) >> 16));
      data[to + 2] = clamp(luma[at]! + ((parts(1.772) * blue + 32768) >> 16));
    }
  }
  return data;
}
