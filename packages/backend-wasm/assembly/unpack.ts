import { FLOAT16_BITS, HIGH_HALVES, TWO_TO_112 } from './control';
import * as layouts from './layouts';
import { bfloat16Even, bfloat16Odd, float16Even, float16Odd } from './vector';

/**
 * Writes `count` (at most 32) columns of 16 rows, from `column` on, as float32: per column 16 numbers. `column` is a multiple
 * of 32.
 *
 * @param rows - where the 16 rows start
 */
export function unpack(layout: i32, rows: usize, column: i32, count: i32, to: usize): void {
  if (layout == layouts.F16) {
    const factor = v128.load(TWO_TO_112), bits = v128.load(FLOAT16_BITS);
    let from = rows + <usize>column * 32;
    for (let i = 0; i < count; i++) {
      const low = v128.load(from);
      const high = v128.load(from, 16);
      v128.store(to, f32x4.mul(float16Even(low, bits), factor), 0);
      v128.store(to, f32x4.mul(float16Odd(low, bits), factor), 16);
      v128.store(to, f32x4.mul(float16Even(high, bits), factor), 32);
      v128.store(to, f32x4.mul(float16Odd(high, bits), factor), 48);
      from += 32;
      to += 64;
    }
  } else if (layout == layouts.BF16) {
    const bits = v128.load(HIGH_HALVES);
    let from = rows + <usize>column * 32;
    for (let i = 0; i < count; i++) {
      const low = v128.load(from);
      const high = v128.load(from, 16);
      v128.store(to, bfloat16Even(low, bits), 0);
      v128.store(to, bfloat16Odd(low, bits), 16);
      v128.store(to, bfloat16Even(high, bits), 32);
      v128.store(to, bfloat16Odd(high, bits), 48);
      from += 32;
      to += 64;
    }
  } else if (layout == layouts.F32) {
    memory.copy(to, rows + <usize>column * 64, <usize>count * 64);
  } else {
    const size = layouts.rowsSizeInBytes(layout, 32);
    unpackBlock(layout, rows + (<usize>column >> 5) * size, to);
  }
}

/** A block of 32 columns of a layout of integers. */
function unpackBlock(layout: i32, block: usize, to: usize): void {
  for (let rows: usize = 0; rows < 4; rows++) {
    const first = block + 16 * rows;
    const out = to + 16 * rows;
    switch (layout) {
      case layouts.NIBBLES: {
        const scale = float16ScaleOf(block + 256, rows);
        unpackNibbles(first, scale, f32x4.splat(0), 8, out);
        break;
      }
      case layouts.NIBBLES_OFFSET:
        unpackNibbles(first, v128.load(first, 256), v128.load(first, 320), 0, out);
        break;
      case layouts.BYTES: {
        const scale = float16ScaleOf(block + 512, rows);
        unpackBytes(first, scale, scale, f32x4.splat(0), out);
        break;
      }
      case layouts.BYTES_OFFSET: {
        const scale = v128.load(first, 512);
        unpackBytes(first, scale, scale, v128.load(first, 576), out);
        break;
      }
      default:
        unpackBytes(first, v128.load(first, 512), v128.load(first, 576), f32x4.splat(0), out);
    }
  }
}

/** The scales of rows 4·rows to 4·rows + 3, of 16 float16 that are interleaved by eights. */
@inline
function float16ScaleOf(scales: usize, rows: usize): v128 {
  const bits = v128.load(FLOAT16_BITS);
  const eight = v128.load(scales + 16 * (rows >> 1));
  const narrow = (rows & 1) == 0 ? float16Even(eight, bits) : float16Odd(eight, bits);
  return f32x4.mul(narrow, v128.load(TWO_TO_112));
}

/** Four rows: the low nibbles are columns 0 to 15, the high ones columns 16 to 31. */
@inline
function unpackNibbles(from: usize, scale: v128, offset: v128, shift: i32, to: usize): void {
  const shifts = i32x4.splat(shift);
  for (let quad: usize = 0; quad < 4; quad++) {
    let bytes = v128.load(from + 64 * quad);
    for (let i: usize = 0; i < 4; i++) {
      const column = to + 64 * (4 * quad + i);
      const low = v128.and(bytes, i32x4.splat(15));
      const high = v128.and(i32x4.shr_u(bytes, 4), i32x4.splat(15));
      v128.store(column, scaled(i32x4.sub(low, shifts), scale, offset));
      v128.store(column, scaled(i32x4.sub(high, shifts), scale, offset), 1024);
      bytes = i32x4.shr_u(bytes, 8);
    }
  }
}

/** Four rows: pairs of columns (0, 2), then (1, 3) of every quad. The second scale is that of columns 16 to 31. */
@inline
function unpackBytes(from: usize, scale: v128, secondScale: v128, offset: v128, to: usize): void {
  for (let quad: usize = 0; quad < 8; quad++) {
    const bytes = v128.load(from + 64 * quad);
    const factor = quad < 4 ? scale : secondScale;
    const even = i32x4.extend_low_i16x8_s(bytes);
    const odd = i32x4.extend_high_i16x8_s(bytes);
    const column = to + 256 * quad;
    v128.store(column, scaled(i32x4.shr_s(i32x4.shl(even, 24), 24), factor, offset));
    v128.store(column, scaled(i32x4.shr_s(i32x4.shl(odd, 24), 24), factor, offset), 64);
    v128.store(column, scaled(i32x4.shr_s(even, 8), factor, offset), 128);
    v128.store(column, scaled(i32x4.shr_s(odd, 8), factor, offset), 192);
  }
}

@inline
function scaled(integers: v128, scale: v128, offset: v128): v128 {
  return f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(integers), scale), offset);
}
