import * as layouts from '../layouts';
import { float16ToFloat32, interleavedIndex } from '../vector';

/**
 * Writes `count` (at most 32) columns of 16 rows, from `column` on, as float32: per column 16 numbers. `column` is a multiple
 * of 32.
 *
 * @param rows - where the 16 rows start
 */
export function unpack(layout: i32, rows: usize, column: i32, count: i32, to: usize): void {
  if (layout == layouts.F32) {
    memory.copy(to, rows + <usize>column * 64, <usize>count * 64);
  } else if (layout == layouts.F16 || layout == layouts.BF16) {
    let from = rows + <usize>column * 32;
    for (let i = 0; i < count; i++) {
      for (let row: usize = 0; row < 16; row++) {
        const half = <u32>load<u16>(from + 2 * interleavedIndex(row));
        store<f32>(to + 4 * row, layout == layouts.F16 ? float16ToFloat32(half) : reinterpret<f32>(half << 16));
      }
      from += 32;
      to += 64;
    }
  } else {
    unpackBlock(layout, rows + (<usize>column >> 5) * layouts.rowsSizeInBytes(layout, 32), to);
  }
}

function unpackBlock(layout: i32, block: usize, to: usize): void {
  const hasOffset = layout == layouts.NIBBLES_OFFSET || layout == layouts.BYTES_OFFSET;
  for (let row: usize = 0; row < 16; row++) {
    const scale = weightScaleOf(layout, block, row);
    const offset = hasOffset ? secondNumberOf(layout, block, row) : 0;
    const secondScale = layout == layouts.BYTES_HALVES ? secondNumberOf(layout, block, row) : scale;
    for (let column: usize = 0; column < 32; column++) {
      const integer = <f32>integerOf(layout, block, row, column);
      store<f32>(to + 64 * column + 4 * row, integer * (column < 16 ? scale : secondScale) + offset);
    }
  }
}

/** The 32 integers of one row of a block, as int16. */
export function takeIntegers(layout: i32, block: usize, row: usize, to: usize): void {
  for (let column: usize = 0; column < 32; column++) {
    store<i16>(to + 2 * column, <i16>integerOf(layout, block, row, column));
  }
}

/** An integer of a block. Nibbles are 8 less than stored, unless the format has offsets. */
@inline
function integerOf(layout: i32, block: usize, row: usize, column: usize): i32 {
  if (layout == layouts.NIBBLES || layout == layouts.NIBBLES_OFFSET) {
    const byte = load<u8>(block + ((column >> 2) & 3) * 64 + (row >> 2) * 16 + (row & 3) * 4 + (column & 3));
    return <i32>(column < 16 ? byte & 15 : byte >> 4) - (layout == layouts.NIBBLES ? 8 : 0);
  }
  const place = (column & 1) * 8 + (row & 3) * 2 + ((column & 3) >> 1);
  return <i32>load<i8>(block + (column >> 2) * 64 + (row >> 2) * 16 + place);
}

/** The scale of a row of a block. */
@inline
export function weightScaleOf(layout: i32, block: usize, row: usize): f32 {
  if (layout == layouts.NIBBLES) return float16ToFloat32(load<u16>(block + 256 + 2 * interleavedIndex(row)));
  if (layout == layouts.BYTES) return float16ToFloat32(load<u16>(block + 512 + 2 * interleavedIndex(row)));
  return load<f32>(block + (layout == layouts.NIBBLES_OFFSET ? 256 : 512) + 4 * row);
}

/** What lies behind the scales: the offset of a row, or the scale of its second half. */
@inline
export function secondNumberOf(layout: i32, block: usize, row: usize): f32 {
  return load<f32>(block + (layout == layouts.NIBBLES_OFFSET ? 320 : 576) + 4 * row);
}
