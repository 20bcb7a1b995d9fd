import { FLOAT16_BITS, HIGH_HALVES, TWO_TO_112 } from './control';
import * as layouts from './layouts';
import { bfloat16Even, bfloat16Odd, float16Even, float16Odd, float16ToFloat32, interleavedIndex } from './vector';

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

export function unpackBlock(layout: i32, block: usize, to: usize): void {
  const nibbles = layout == layouts.NIBBLES || layout == layouts.NIBBLES_OFFSET;
  for (let row: usize = 0; row < 16; row++) {
    let scale: f32;
    let secondScale: f32;
    let offset: f32 = 0;
    let shift: i32 = 0;
    if (layout == layouts.NIBBLES) {
      scale = float16ToFloat32(load<u16>(block + 256 + 2 * interleavedIndex(row)));
      secondScale = scale;
      shift = -8;
    } else if (layout == layouts.BYTES) {
      scale = float16ToFloat32(load<u16>(block + 512 + 2 * interleavedIndex(row)));
      secondScale = scale;
    } else if (layout == layouts.NIBBLES_OFFSET) {
      scale = load<f32>(block + 256 + 4 * row);
      secondScale = scale;
      offset = load<f32>(block + 320 + 4 * row);
    } else if (layout == layouts.BYTES_OFFSET) {
      scale = load<f32>(block + 512 + 4 * row);
      secondScale = scale;
      offset = load<f32>(block + 576 + 4 * row);
    } else {
      scale = load<f32>(block + 512 + 4 * row);
      secondScale = load<f32>(block + 576 + 4 * row);
    }
    for (let column: usize = 0; column < 32; column++) {
      let quantized: i32;
      if (nibbles) {
        const byte = load<u8>(block + ((column >> 2) & 3) * 64 + (row >> 2) * 16 + (row & 3) * 4 + (column & 3));
        quantized = <i32>(column < 16 ? byte & 15 : byte >> 4) + shift;
      } else {
        const inQuad = column & 3;
        const place = (inQuad & 1) * 8 + (row & 3) * 2 + (inQuad >> 1);
        quantized = <i32>load<i8>(block + (column >> 2) * 64 + (row >> 2) * 16 + place);
      }
      store<f32>(to + 64 * column + 4 * row, <f32>quantized * (column < 16 ? scale : secondScale) + offset);
    }
  }
}
