import { argument, pointer, progress, scratch, shareStart } from '../control';
import * as layouts from '../layouts';
import { groupSizeInBytes } from '../quantize-activations';
import { columnOf, scaledSumOf, scaleOf } from './quantize-activations';
import { secondNumberOf, takeIntegers, unpack, weightScaleOf } from './unpack';

// The sums run in the order of plain SIMD, so that integer products have its bits.

/**
 * `y = x · Wᵀ (+ bias)`. Arguments: weights, layout, columns, rows, activations, T, y, bias or 0, 1 for quantized activations.
 * Activations lie as for `../linear`. Threads share the matrix by 16 rows.
 */
export function linear(thread: i32, threads: i32): void {
  const weights = pointer(0);
  const layout = argument(1);
  const columns = argument(2);
  const rows = argument(3);
  const activations = pointer(4);
  const tokens = argument(5);
  const y = pointer(6);
  const bias = pointer(7);
  const isQuantized = argument(8) != 0;
  const blockSize = layouts.rowsSizeInBytes(layout, columns);
  const blocks = (rows + 15) >> 4;
  const end = shareStart(blocks, thread + 1, threads);
  for (let block = shareStart(blocks, thread, threads); block < end; block++) {
    const from = weights + <usize>block * blockSize;
    const firstRow = block * 16;
    const count = min(16, rows - firstRow);
    for (let token = 0; token < tokens; token++) {
      const to = y + 4 * (<usize>token * <usize>rows + <usize>firstRow);
      for (let row: usize = 0; row < <usize>count; row++) {
        store<f32>(to + 4 * row, 0);
      }
    }
    for (let column = 0; column < columns; column += 32) {
      if (isQuantized) addIntegers(thread, from, column, firstRow, count, activations, y);
      else addFloats(thread, from, column, firstRow, count, activations, y);
    }
    if (bias != 0) {
      for (let token = 0; token < tokens; token++) {
        const to = y + 4 * (<usize>token * <usize>rows + <usize>firstRow);
        for (let row: usize = 0; row < <usize>count; row++) {
          store<f32>(to + 4 * row, load<f32>(to + 4 * row) + load<f32>(bias + 4 * (<usize>firstRow + row)));
        }
      }
    }
    progress(thread);
  }
}

/** Adds 32 columns of up to 16 rows, for all tokens: sums of integers, then the scales. */
function addIntegers(thread: i32, from: usize, column: i32, firstRow: i32, count: i32, activations: usize, y: usize): void {
  const layout = argument(1);
  const columns = argument(2);
  const rows = <usize>argument(3);
  const tokens = argument(5);
  const perTile = tokens == 1 ? 1 : 4;
  const groupSize = groupSizeInBytes(perTile, false);
  const groups = columns >> 5;
  const block = from + <usize>(column >> 5) * layouts.rowsSizeInBytes(layout, 32);
  const integers = scratch(thread);
  const hasOffset = layout == layouts.NIBBLES_OFFSET || layout == layouts.BYTES_OFFSET;
  for (let row: usize = 0; row < <usize>count; row++) {
    takeIntegers(layout, block, row, integers);
    const scale = weightScaleOf(layout, block, row);
    const second: f32 = hasOffset || layout == layouts.BYTES_HALVES ? secondNumberOf(layout, block, row) : 0;
    for (let token = 0; token < tokens; token++) {
      const inTile = <usize>(token % perTile);
      const group = activations + <usize>((token / perTile) * groups + (column >> 5)) * groupSize;
      const activationScale = scaleOf(group, perTile, inTile);
      const at = y + 4 * (<usize>token * rows + <usize>firstRow + row);
      let sum = load<f32>(at);
      if (layout == layouts.BYTES_HALVES) {
        sum = <f32>dot(integers, group, 0, 16, perTile, inTile) * (scale * activationScale) + sum;
        sum = <f32>dot(integers, group, 16, 32, perTile, inTile) * (second * activationScale) + sum;
      } else {
        sum = <f32>dot(integers, group, 0, 32, perTile, inTile) * (scale * activationScale) + sum;
        if (hasOffset) sum = second * scaledSumOf(group, perTile, inTile) + sum;
      }
      store<f32>(at, sum);
    }
  }
}

@inline
function dot(integers: usize, group: usize, start: usize, end: usize, perTile: usize, inTile: usize): i32 {
  let sum = 0;
  for (let i = start; i < end; i++) {
    sum += <i32>load<i16>(integers + 2 * i) * <i32>load<i16>(columnOf(group, i, perTile, inTile));
  }
  return sum;
}

/** Adds 32 columns (fewer at the end) of up to 16 rows, for all tokens, in float32. */
function addFloats(thread: i32, from: usize, column: i32, firstRow: i32, count: i32, activations: usize, y: usize): void {
  const columns = argument(2);
  const rows = <usize>argument(3);
  const tokens = argument(5);
  const width = <usize>min(32, columns - column);
  const perTile: usize = tokens == 1 ? 1 : 4;
  const widened = scratch(thread);
  unpack(argument(1), from, column, <i32>width, widened);
  for (let token: usize = 0; token < <usize>tokens; token++) {
    const tile = activations + 4 * (token / perTile) * perTile * <usize>columns;
    const x = tile + 4 * (<usize>column * perTile + (token % perTile));
    for (let row: usize = 0; row < <usize>count; row++) {
      let sum: f32 = 0;
      for (let i: usize = 0; i < width; i++) {
        sum = load<f32>(widened + 64 * i + 4 * row) * load<f32>(x + 4 * i * perTile) + sum;
      }
      const at = y + 4 * (token * rows + <usize>firstRow + row);
      store<f32>(at, load<f32>(at) + sum);
    }
  }
}

/** Rows of the matrix as float32. Arguments: weights, layout, columns, ids (int32), T, target `[T, columns]`. */
export function embed(thread: i32, threads: i32): void {
  const weights = pointer(0);
  const layout = argument(1);
  const columns = argument(2);
  const ids = pointer(3);
  const tokens = argument(4);
  const target = pointer(5);
  const blockSize = layouts.rowsSizeInBytes(layout, columns);
  const widened = scratch(thread);
  const end = shareStart(tokens, thread + 1, threads);
  for (let token = shareStart(tokens, thread, threads); token < end; token++) {
    const id = <usize>load<i32>(ids + 4 * <usize>token);
    let to = target + 4 * <usize>token * <usize>columns;
    for (let column = 0; column < columns; column += 32) {
      const count = min(32, columns - column);
      unpack(layout, weights + (id >> 4) * blockSize, column, count, widened);
      for (let i: usize = 0; i < <usize>count; i++) store<f32>(to + 4 * i, load<f32>(widened + 64 * i + 4 * (id & 15)));
      to += 128;
    }
    progress(thread);
  }
}
