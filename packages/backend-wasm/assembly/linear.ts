import { argument, counter, exchangeCounter, pointer, progress, scratch, shareStart, takePiece } from './control';
import * as layouts from './layouts';
import { groupSizeInBytes } from './quantize-activations';
import {
  bfloat16s1, bytes1, bytes4, bytesHalves1, bytesHalves4, bytesOffset1, bytesOffset4, float16s1, floats1, floats4, nibbles1, nibbles4,
  nibblesOffset1, nibblesOffset4,
} from './tiles';
import { unpack } from './unpack';

/**
 * So many tiles of 4 tokens pass before the next rows of weights are read: their activations stay in the second-level cache
 * (128 tokens × 3072 columns are half a megabyte).
 */
const TILES_PER_PASS: i32 = 32;
/** About so many bytes of weights are a piece for whoever is free: some microseconds of memory. */
const PIECE_SIZE: usize = 65536;

/** True for the layouts whose kernel multiplies quads of int8; the others take pairs of int16. */
@inline
export function takesQuads(layout: i32): bool {
  return ASC_FEATURE_RELAXED_SIMD && (layout == layouts.NIBBLES || layout == layouts.NIBBLES_OFFSET);
}

/**
 * `y = x · Wᵀ (+ bias)`. Arguments: weights, layout, columns, rows, activations, T, y, bias or 0, 1 for quantized activations, 0
 * (a counter).
 *
 * Quantized activations come from `quantizeActivations`, others from `interleaveActivations`; a single token's float32
 * activations are taken as they are. Threads share the matrix by 16 rows: three quarters in fixed shares, the rest goes to
 * whoever is free, because threads are never equally fast. Of several tokens' product it goes in small pieces; a single
 * token's waits for memory, which prefers long streams: its pieces start long and become short.
 */
export function linear(thread: i32, threads: i32): void {
  const layout = argument(1);
  const columns = argument(2);
  const rows = argument(3);
  const tokens = argument(5);
  const perTile = tokens == 1 ? 1 : 4;
  const tiles = (tokens + perTile - 1) / perTile;
  const blocks = (rows + 15) >> 4;
  const fixed = threads == 1 ? blocks : (blocks * 3) >> 2;
  const first = shareStart(fixed, thread, threads);
  const end = shareStart(fixed, thread + 1, threads);
  for (let pass = 0; pass < tiles; pass += TILES_PER_PASS) multiplyBlocks(thread, first, end, pass, perTile, tiles);

  if (tokens == 1) {
    for (let from = takeBlocks(fixed, blocks, threads); from < blocks; from = takeBlocks(fixed, blocks, threads)) {
      multiplyBlocks(thread, from, from + shareOf(blocks - from, threads), 0, 1, 1);
    }
    return;
  }
  const perPiece = max(1, <i32>(PIECE_SIZE / layouts.rowsSizeInBytes(layout, columns)));
  const pieces = (blocks - fixed + perPiece - 1) / perPiece;
  const passes = (tiles + TILES_PER_PASS - 1) / TILES_PER_PASS;
  for (let piece = takePiece(9); piece < pieces * passes; piece = takePiece(9)) {
    const from = fixed + (piece % pieces) * perPiece;
    multiplyBlocks(thread, from, min(from + perPiece, blocks), (piece / pieces) * TILES_PER_PASS, perTile, tiles);
  }
}

/** How many of the `left` blocks that remain whoever is free takes: half of an equal share. */
@inline
function shareOf(left: i32, threads: i32): i32 {
  return max(1, left / (2 * threads));
}

/** The first of the next `shareOf` blocks that no other thread gets; `end` when none is left. */
function takeBlocks(first: i32, end: i32, threads: i32): i32 {
  while (true) {
    const taken = counter(9);
    const left = end - first - taken;
    if (left == 0) return end;
    if (exchangeCounter(9, taken, taken + shareOf(left, threads))) return first + taken;
  }
}

/** Blocks of 16 rows times the tiles of one pass. */
function multiplyBlocks(thread: i32, first: i32, end: i32, pass: i32, perTile: i32, tiles: i32): void {
  const weights = pointer(0);
  const layout = argument(1);
  const columns = argument(2);
  const rows = argument(3);
  const activations = pointer(4);
  const tokens = argument(5);
  const y = pointer(6);
  const bias = pointer(7);
  const quantized = argument(8) != 0;
  const blockSize = layouts.rowsSizeInBytes(layout, columns);
  const tileSize = quantized
    ? <usize>(columns >> 5) * groupSizeInBytes(perTile, takesQuads(layout))
    : <usize>columns * 4 * <usize>perTile;
  const sums = scratch(thread);
  const lastTile = min(pass + TILES_PER_PASS, tiles);
  for (let block = first; block < end; block++) {
    const from = weights + <usize>block * blockSize;
    if (quantized) {
      for (let tile = pass; tile < lastTile; tile++) {
        multiplyTile(layout, perTile, from, columns >> 5, activations + <usize>tile * tileSize, sums);
        storeTile(sums, y, rows, block * 16, tile * perTile, min(perTile, tokens - tile * perTile), bias);
      }
    } else {
      multiplyFloats(layout, perTile, from, columns, activations, tileSize, pass, lastTile, sums);
      for (let tile = pass; tile < lastTile; tile++) {
        const token = tile * perTile;
        const tileSums = sums + <usize>((tile - pass) * perTile) * 64;
        storeTile(tileSums, y, rows, block * 16, token, min(perTile, tokens - token), bias);
      }
    }
    progress(thread);
  }
}

@inline
function multiplyTile(layout: i32, perTile: i32, weights: usize, groups: i32, activations: usize, sums: usize): void {
  if (perTile == 1) {
    if (layout == layouts.NIBBLES) nibbles1(weights, groups, activations, sums);
    else if (layout == layouts.BYTES) bytes1(weights, groups, activations, sums);
    else if (layout == layouts.NIBBLES_OFFSET) nibblesOffset1(weights, groups, activations, sums);
    else if (layout == layouts.BYTES_OFFSET) bytesOffset1(weights, groups, activations, sums);
    else bytesHalves1(weights, groups, activations, sums);
  } else {
    if (layout == layouts.NIBBLES) nibbles4(weights, groups, activations, sums);
    else if (layout == layouts.BYTES) bytes4(weights, groups, activations, sums);
    else if (layout == layouts.NIBBLES_OFFSET) nibblesOffset4(weights, groups, activations, sums);
    else if (layout == layouts.BYTES_OFFSET) bytesOffset4(weights, groups, activations, sums);
    else bytesHalves4(weights, groups, activations, sums);
  }
}

/**
 * Sixteen rows times all tiles of a pass, 32 columns at a time: these are widened to float32 once for all tokens. Summing 32
 * columns apart before they join the total also keeps the rounding error of long rows small.
 */
function multiplyFloats(
  layout: i32,
  perTile: i32,
  weights: usize,
  columns: i32,
  activations: usize,
  tileSize: usize,
  firstTile: i32,
  lastTile: i32,
  sums: usize,
): void {
  const widened = sums + 64 * 4 * <usize>TILES_PER_PASS;
  memory.fill(sums, 0, <usize>((lastTile - firstTile) * perTile) * 64);
  for (let column = 0; column < columns; column += 32) {
    const count = min(32, columns - column);
    if (perTile == 1 && (layout == layouts.F16 || layout == layouts.BF16)) {
      const halves = weights + <usize>column * 32;
      if (layout == layouts.F16) float16s1(halves, count, activations + 4 * <usize>column, sums);
      else bfloat16s1(halves, count, activations + 4 * <usize>column, sums);
      continue;
    }
    let from = weights + <usize>column * 64;
    if (layout != layouts.F32) {
      unpack(layout, weights, column, count, widened);
      from = widened;
    }
    if (perTile == 1) {
      floats1(from, count, activations + 4 * <usize>column, sums);
    } else {
      for (let tile = firstTile; tile < lastTile; tile++) {
        const x = activations + <usize>tile * tileSize + 16 * <usize>column;
        floats4(from, count, x, sums + <usize>(tile - firstTile) * 256);
      }
    }
  }
}

/** Writes the sums of 16 rows (fewer at the end of the matrix) for the tokens of a tile to `y` `[T, rows]`. */
function storeTile(sums: usize, y: usize, rows: i32, row: i32, token: i32, count: i32, bias: usize): void {
  const width = min(16, rows - row);
  if (ASC_FEATURE_SIMD && width == 16) {
    storeWholeTile(sums, y, rows, row, token, count, bias);
    return;
  }
  let to = y + 4 * (<usize>token * <usize>rows + <usize>row);
  const offsets = bias + 4 * <usize>row;
  for (let t = 0; t < count; t++) {
    for (let i: usize = 0; i < <usize>width; i++) {
      const sum = load<f32>(sums + 4 * i);
      store<f32>(to + 4 * i, bias == 0 ? sum : sum + load<f32>(offsets + 4 * i));
    }
    sums += 64;
    to += 4 * <usize>rows;
  }
}

/** The same for all 16 rows. */
@inline
function storeWholeTile(sums: usize, y: usize, rows: i32, row: i32, token: i32, count: i32, bias: usize): void {
  let b0 = f32x4.splat(0), b1 = b0, b2 = b0, b3 = b0;
  if (bias != 0) {
    const offsets = bias + 4 * <usize>row;
    b0 = v128.load(offsets);
    b1 = v128.load(offsets, 16);
    b2 = v128.load(offsets, 32);
    b3 = v128.load(offsets, 48);
  }
  let to = y + 4 * (<usize>token * <usize>rows + <usize>row);
  for (let t = 0; t < count; t++) {
    v128.store(to, f32x4.add(v128.load(sums), b0));
    v128.store(to, f32x4.add(v128.load(sums, 16), b1), 16);
    v128.store(to, f32x4.add(v128.load(sums, 32), b2), 32);
    v128.store(to, f32x4.add(v128.load(sums, 48), b3), 48);
    sums += 64;
    to += 4 * <usize>rows;
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
