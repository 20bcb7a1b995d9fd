import { argument, pointer, progress, scratch, shareStart, warn } from './control';
import * as layouts from './layouts';
import { float16ToFloat32, interleavedIndex } from './vector';

// Weights of a file into the layouts of the kernels, without changing a value. Block formats as llama.cpp's
// `ggml-common.h` has them.

const Q8_0: i32 = 3;
const Q4_0: i32 = 4;
const Q4_1: i32 = 5;
const Q5_0: i32 = 6;
const Q5_1: i32 = 7;
const Q4_K: i32 = 8;
const Q5_K: i32 = 9;

/**
 * Packs `rowCount` rows that lie in memory as the file has them. Arguments: format, layout, rows, row size in bytes, columns,
 * source, target. Rows up to the next multiple of 16 are filled with zeros.
 *
 * Warns of a float16 that is infinite or NaN: kernels widen float16 by shifting bits and would make a finite number of it.
 */
export function pack(thread: i32, threads: i32): void {
  const format = argument(0);
  const layout = argument(1);
  const rowCount = argument(2);
  const rowSize = <usize>argument(3);
  const columns = argument(4);
  const source = pointer(5);
  const target = pointer(6);
  const blocks = (rowCount + 15) >> 4;
  const end = shareStart(blocks, thread + 1, threads);
  for (let block = shareStart(blocks, thread, threads); block < end; block++) {
    const from = source + <usize>block * 16 * rowSize;
    const to = target + <usize>block * layouts.rowsSizeInBytes(layout, columns);
    const rows = min(16, rowCount - block * 16);
    if (layout == layouts.F32) packFloats(from, rowSize, rows, columns, to);
    else if (layout == layouts.F16 || layout == layouts.BF16) packHalves(from, rowSize, rows, columns, to, layout == layouts.F16);
    else if (format == Q4_0) packQ4_0(from, rowSize, rows, columns, to);
    else packBlocks(format, layout, from, rowSize, rows, columns, to, scratch(thread));
    progress(thread);
  }
}

function packFloats(from: usize, rowSize: usize, rows: i32, columns: i32, to: usize): void {
  for (let row = 0; row < 16; row++) {
    const source = from + <usize>row * rowSize;
    for (let column: usize = 0; column < <usize>columns; column++) {
      store<u32>(to + column * 64 + 4 * <usize>row, row < rows ? load<u32>(source + 4 * column) : 0);
    }
  }
}

/** Of a float16: infinite or NaN. */
@inline
function isSpecial(h: u16): bool {
  return (h & 0x7c00) == 0x7c00;
}

function packHalves(from: usize, rowSize: usize, rows: i32, columns: i32, to: usize, isFloat16: bool): void {
  for (let row = 0; row < 16; row++) {
    const source = from + <usize>row * rowSize;
    const place: usize = 2 * interleavedIndex(<usize>row);
    for (let column: usize = 0; column < <usize>columns; column++) {
      const half: u16 = row < rows ? load<u16>(source + 2 * column) : 0;
      if (isFloat16 && isSpecial(half)) warn();
      store<u16>(to + column * 32 + place, half);
    }
  }
}

/**
 * Q4_0 shares its order of nibbles with ours (byte i: column i low, column i + 16 high), so that packing moves words of four
 * bytes: word j of row 4b + r goes to place r of vector 4j + b.
 */
function packQ4_0(from: usize, rowSize: usize, rows: i32, columns: i32, to: usize): void {
  const groups = <usize>columns >> 5;
  for (let row: usize = 0; row < 16; row++) {
    let source = from + row * rowSize;
    let target = to + (row >> 2) * 16 + (row & 3) * 4;
    let scale = to + 256 + 2 * interleavedIndex(row);
    const exists = row < <usize>rows;
    for (let group: usize = 0; group < groups; group++) {
      const half: u16 = exists ? load<u16>(source) : 0;
      if (isSpecial(half)) warn();
      store<u16>(scale, half);
      store<u32>(target, exists ? load<u32>(source, 2) : 0, 0);
      store<u32>(target, exists ? load<u32>(source, 6) : 0, 64);
      store<u32>(target, exists ? load<u32>(source, 10) : 0, 128);
      store<u32>(target, exists ? load<u32>(source, 14) : 0, 192);
      source += 18;
      target += 288;
      scale += 288;
    }
  }
}

/** Any other block format: each group of 32 weights is taken apart into bytes, scale and offset, then put in its places. */
function packBlocks(
  format: i32,
  layout: i32,
  from: usize,
  rowSize: usize,
  rows: i32,
  columns: i32,
  to: usize,
  group: usize,
): void {
  const groups = columns >> 5;
  const blockSize = layouts.rowsSizeInBytes(layout, 32);
  for (let row = 0; row < 16; row++) {
    const source = from + <usize>row * rowSize;
    for (let g = 0; g < groups; g++) {
      const block = to + <usize>g * blockSize;
      if (row < rows) takeApart(format, source, g, group);
      else memory.fill(group, 0, GROUP_SIZE);
      if (layout == layouts.NIBBLES_OFFSET) {
        putNibbles(group, block, <usize>row);
        store<f32>(block + 256 + 4 * <usize>row, load<f32>(group, 32));
        store<f32>(block + 320 + 4 * <usize>row, load<f32>(group, 40));
      } else {
        putBytes(group, block, <usize>row);
        if (layout == layouts.BYTES) {
          store<u16>(block + 512 + 2 * interleavedIndex(<usize>row), load<u16>(group, 44));
        } else {
          store<f32>(block + 512 + 4 * <usize>row, load<f32>(group, 32));
          // Offsets of `BYTES_OFFSET`, scales of the second half of `BYTES_HALVES`.
          store<f32>(block + 576 + 4 * <usize>row, load<f32>(group + (layout == layouts.BYTES_OFFSET ? 40 : 36)));
        }
      }
    }
  }
}

// A group taken apart: 32 bytes, scale, scale of the second half, offset (float32), and the scale as the file's float16.
const GROUP_SIZE: usize = 48;

function putNibbles(group: usize, block: usize, row: usize): void {
  const place = block + (row >> 2) * 16 + (row & 3) * 4;
  for (let i: usize = 0; i < 16; i++) {
    store<u8>(place + (i >> 2) * 64 + (i & 3), load<u8>(group + i) | (load<u8>(group + i, 16) << 4));
  }
}

function putBytes(group: usize, block: usize, row: usize): void {
  const place = block + (row >> 2) * 16 + (row & 3) * 2;
  for (let quad: usize = 0; quad < 8; quad++) {
    const from = group + 4 * quad;
    const to = place + quad * 64;
    store<u8>(to, load<u8>(from), 0);
    store<u8>(to, load<u8>(from, 2), 1);
    store<u8>(to, load<u8>(from, 1), 8);
    store<u8>(to, load<u8>(from, 3), 9);
  }
}

/** Reads a scale, and warns when no arithmetic on its bits will do. */
@inline
function scaleAt(at: usize): f32 {
  const half = load<u16>(at);
  if (isSpecial(half)) warn();
  return float16ToFloat32(half);
}

function takeApart(format: i32, row: usize, g: i32, group: usize): void {
  if (format == Q8_0) {
    const block = row + <usize>g * 34;
    if (isSpecial(load<u16>(block))) warn();
    store<u16>(group, load<u16>(block), 44);
    memory.copy(group, block + 2, 32);
  } else if (format == Q4_1) {
    const block = row + <usize>g * 20;
    store<f32>(group, scaleAt(block), 32);
    store<f32>(group, scaleAt(block + 2), 40);
    splitNibbles(block + 4, group);
  } else if (format == Q5_0) {
    const block = row + <usize>g * 22;
    if (isSpecial(load<u16>(block))) warn();
    store<u16>(group, load<u16>(block), 44);
    splitNibbles(block + 6, group);
    addFifthBits(load<u32>(block, 2), group, -16);
  } else if (format == Q5_1) {
    const block = row + <usize>g * 24;
    store<f32>(group, scaleAt(block), 32);
    store<f32>(group, scaleAt(block + 2), 40);
    splitNibbles(block + 8, group);
    addFifthBits(load<u32>(block, 4), group, 0);
  } else if (format == Q4_K) {
    const block = row + (<usize>g >> 3) * 144;
    takeScales(block, g & 7, group);
    takeHalfNibbles(block + 16, g & 7, group);
  } else if (format == Q5_K) {
    const block = row + (<usize>g >> 3) * 176;
    takeScales(block, g & 7, group);
    takeHalfNibbles(block + 48, g & 7, group);
    for (let i: usize = 0; i < 32; i++) {
      const bit = (load<u8>(block + 16 + i) >> <u8>(g & 7)) & 1;
      store<u8>(group + i, load<u8>(group + i) + 16 * bit);
    }
  } else {
    takeQ6_K(row + (<usize>g >> 3) * 210, g & 7, group);
  }
}

/** Byte i: weight i in the low nibble, weight i + 16 in the high one. */
function splitNibbles(from: usize, group: usize): void {
  for (let i: usize = 0; i < 16; i++) {
    const byte = load<u8>(from + i);
    store<u8>(group + i, byte & 15);
    store<u8>(group + i, byte >> 4, 16);
  }
}

function addFifthBits(bits: u32, group: usize, offset: i32): void {
  for (let i: usize = 0; i < 32; i++) {
    store<i8>(group + i, <i8>(<i32>load<u8>(group + i) + <i32>(((bits >> <u32>i) & 1) << 4) + offset));
  }
}

/** Q4_K and Q5_K: six-bit scale and minimum of group j, packed in the 12 bytes behind d and dmin. */
function takeScales(block: usize, j: i32, group: usize): void {
  const packed = block + 4 + <usize>j;
  let scale: u32;
  let minimum: u32;
  if (j < 4) {
    scale = load<u8>(packed) & 63;
    minimum = load<u8>(packed, 4) & 63;
  } else {
    scale = (load<u8>(packed, 4) & 15) | ((load<u8>(packed - 4) >> 6) << 4);
    minimum = (load<u8>(packed, 4) >> 4) | ((load<u8>(packed) >> 6) << 4);
  }
  // 11 bits times 6 bits: exact in float32.
  store<f32>(group, scaleAt(block) * <f32>scale, 32);
  store<f32>(group, -scaleAt(block + 2) * <f32>minimum, 40);
}

/** Groups 2c and 2c + 1 are the low and the high nibbles of the same 32 bytes. */
function takeHalfNibbles(quants: usize, j: i32, group: usize): void {
  const from = quants + 32 * (<usize>j >> 1);
  const shift = <u8>((j & 1) << 2);
  for (let i: usize = 0; i < 32; i++) store<u8>(group + i, (load<u8>(from + i) >> shift) & 15);
}

/** Q6_K: 128 weights in each half; quarter q of a half takes nibbles, bit pairs and scales from different places. */
function takeQ6_K(block: usize, j: i32, group: usize): void {
  const half = <usize>j >> 2;
  const quarter = <usize>j & 3;
  const low = block + 64 * half + 32 * (quarter & 1);
  const pairs = block + 128 + 32 * half;
  const scales = block + 192 + 8 * half + 2 * quarter;
  const d = scaleAt(block + 208);
  // 11 bits times 8 bits: exact in float32.
  store<f32>(group, d * <f32>load<i8>(scales), 32);
  store<f32>(group, d * <f32>load<i8>(scales, 1), 36);
  const nibbleShift = <u8>((quarter >> 1) << 2);
  const pairShift = <u8>(quarter << 1);
  for (let i: usize = 0; i < 32; i++) {
    const nibble = (load<u8>(low + i) >> nibbleShift) & 15;
    const pair = (load<u8>(pairs + i) >> pairShift) & 3;
    store<i8>(group + i, <i8>(<i32>(nibble | (pair << 4)) - 32));
  }
}
