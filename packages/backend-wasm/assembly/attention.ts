import {
  bytesScores1, bytesScores4, bytesValues1x32, bytesValues1x8, bytesValues4x32, bytesValues4x8, floatsScores1, floatsScores4,
  floatsValues1x32, floatsValues1x8, floatsValues4x32, floatsValues4x8, halvesScores1, halvesScores4, halvesValues1x32,
  halvesValues1x8, halvesValues4x32, halvesValues4x8,
} from './attention-tiles';
import {
  CHUNK, chunkAddress, chunkSizeInBytes, FLOAT16, FLOAT32, INT8, keysSizeInBytes, paddedHeadDim, PLACES,
  scalesSizeInBytes, widenKeys,
} from './cache';
import { argument, floatArgument, pointer, progress, scratch, takePiece, TWO_TO_96 } from './control';
import { LOG2_E, PLAIN, soften, TIMES_TWO_TO_96 } from './softmax';
import { madd, sumOf } from './vector';

// Streaming softmax (arXiv:2112.05682, §2): 32 positions at a time, with the largest score so far, the sum of exponentials and
// the weighted sum of values carried along, so that no row of scores is ever whole in memory. More positions at a time would
// repay the softmax better, but keys and values would then be read in turns of many kilobytes, and the processor's prefetcher
// wants one stream: with 256 the same work takes up to three times as long.
//
// A piece of work is one key/value head and up to 16 query rows that see it: tokens times the query heads of its group. Each
// is computed by one thread from the first position to the last. Four rows at a time share what is loaded and widened.
//
// Nothing is widened to memory. Against float16, queries are multiplied by 2^96 · scale · log2(e) and weights by 2^96, so that
// widening needs no multiplication. Against int8, queries and weights become int16 (an error of 2^-16, where that of the
// cache is 2^-8), which are multiplied and added without rounding.

const ROWS: i32 = 16;
/** Bytes of a row of scores, and of its weights as int16. */
const SCORES: usize = 4 * PLACES;
const WEIGHTS: usize = 2 * PLACES;

/** What a thread needs: queries, scores, weights, sums, the keys of a chunk, and per row four sums and three numbers. */
export function attentionScratchSize(headDim: i32): usize {
  const width = <usize>(headDim + paddedHeadDim(headDim));
  return ROWS * (4 * width + SCORES + WEIGHTS + 28) + 4 * PLACES * <usize>headDim;
}

/**
 * Arguments: queries `[T, H·D]`, target, T, H, K, D, pages, format of the cache, position of the first query, scale, 1 when
 * causal, number of positions, window (0 for none), block size (0 when dense), local blocks, vertical stride, head step,
 * cosines `[S, R/2]` of keys stored unrotated (0 for none), sines, R/2, 0 (a counter).
 */
export function attention(thread: i32, threads: i32): void {
  const queries = pointer(0);
  const target = pointer(1);
  const tokens = argument(2);
  const heads = argument(3);
  const keyHeads = argument(4);
  const headDim = argument(5);
  const pages = pointer(6);
  const format = argument(7);
  const start = argument(8);
  const scale = floatArgument(9);
  const causal = argument(10) != 0;
  const positions = argument(11);
  const window = argument(12);
  const blockSize = argument(13);
  const cosines = pointer(17);
  const sines = pointer(18);
  const half = argument(19);

  const group = heads / keyHeads;
  const rowCount = tokens * group;
  const tiles = (rowCount + ROWS - 1) / ROWS;
  const chunkSize = chunkSizeInBytes(format, headDim);
  const valuesAt = scalesSizeInBytes(format) + keysSizeInBytes(format, headDim);
  const headSize = 4 * <usize>headDim;
  const sumsSize = 4 * <usize>paddedHeadDim(headDim);
  // Keys that have to be rotated first are float32 by then.
  const keyFormat = half > 0 ? FLOAT32 : format;
  const rowSize = keyFormat == INT8 ? 2 * <usize>((headDim + 1) & ~1) : headSize;
  const kind = format == FLOAT16 ? TIMES_TWO_TO_96 : PLAIN;

  const scores = scratch(thread);
  const weights = scores + ROWS * SCORES;
  const rows = weights + ROWS * WEIGHTS;
  const sums = rows + ROWS * headSize;
  const keySpace = sums + ROWS * sumsSize;
  const totals = keySpace + PLACES * headSize;
  const largest = totals + 16 * ROWS;
  const rowScales = largest + 4 * ROWS;
  const weightScales = rowScales + 4 * ROWS;

  // A thread takes a piece when it is done with another: later tokens see more keys, and threads are not equally fast.
  for (let piece = takePiece(20); piece < keyHeads * tiles; piece = takePiece(20)) {
    const keyHead = piece / tiles;
    const firstRow = (piece % tiles) * ROWS;
    const count = min(ROWS, rowCount - firstRow);
    for (let r = 0; r < count; r++) {
      const row = firstRow + r;
      const from = queries + <usize>((row / group) * heads + keyHead * group + (row % group)) * headSize;
      const to = rows + <usize>r * rowSize;
      if (keyFormat == INT8) store<f32>(rowScales + 4 * <usize>r, quantizeQuery(from, headDim, scale * LOG2_E, to));
      else multiplyQuery(from, headDim, scale * LOG2_E, keyFormat == FLOAT16, to);
      store<f32>(largest + 4 * <usize>r, -Infinity);
      v128.store(totals + 16 * <usize>r, f32x4.splat(0));
    }
    memory.fill(sums, 0, <usize>count * sumsSize);

    const firstPosition = start + firstRow / group;
    const lastPosition = start + (firstRow + count - 1) / group;
    const end = causal ? lastPosition + 1 : positions;
    const begin = window > 0 ? max(0, firstPosition + 1 - window) : 0;
    for (let chunk = begin / CHUNK; chunk * CHUNK < end; chunk++) {
      const first = chunk * CHUNK;
      const used = min(CHUNK, end - first);
      if (blockSize > 0 && !anySeen(first, first + used, firstRow, count, group, keyHead, start)) continue;
      const address = chunkAddress(pages, chunk, keyHead, chunkSize);
      let keys = address + scalesSizeInBytes(format);
      if (half > 0) {
        widenKeys(format, address, headDim, keySpace);
        const at: usize = 4 * <usize>(first * half);
        rotateKeys(keySpace, used, cosines + at, sines + at, half);
        keys = keySpace;
      }
      scoreRows(keyFormat, rows, count, rowSize, keys, scores, address, rowScales);
      for (let r = 0; r < count; r++) {
        const row = firstRow + r;
        const position = start + row / group;
        const to = scores + <usize>r * SCORES;
        const limit = causal ? min(used, position + 1 - first) : used;
        const from = window > 0 ? position + 1 - window - first : 0;
        if (blockSize > 0) mask(to, first, limit, position, keyHead * group + (row % group));
        if (from > 0 || limit < CHUNK) keepBetween(to, from, limit);
        const sum = sums + <usize>r * sumsSize;
        soften(to, kind, largest + 4 * <usize>r, totals + 16 * <usize>r, sum, sumsSize);
        if (format == INT8) {
          store<f32>(weightScales + 4 * <usize>r, quantizeWeights(to, address + 4 * PLACES, weights + <usize>r * WEIGHTS));
        }
      }
      const values = address + valuesAt;
      if (format == INT8) {
        // Both positions of a pair, of which the second may not exist: its weight is 0.
        const pairs = <usize>((used + 1) >> 1);
        addValues(format, weights, pairs, WEIGHTS, count, headDim, values, sums, sumsSize, weightScales);
      } else {
        addValues(format, scores, <usize>used, SCORES, count, headDim, values, sums, sumsSize, 0);
      }
    }
    for (let r = 0; r < count; r++) {
      const row = firstRow + r;
      const to = target + <usize>((row / group) * heads + keyHead * group + (row % group)) * headSize;
      // Sums of weights times 2^96 against sums of these times 2^-112 and 2^16.
      const total = sumOf(v128.load(totals + 16 * <usize>r)) * (format == FLOAT16 ? <f32>(1.0 / 79228162514264337593543950336.0) : 1);
      const from = sums + <usize>r * sumsSize;
      for (let i: usize = 0; i < <usize>headDim; i++) store<f32>(to + 4 * i, load<f32>(from + 4 * i) / total);
    }
    progress(thread);
  }
}

/** A query times a factor, and times 2^96 for float16 keys. */
function multiplyQuery(from: usize, headDim: i32, factor: f32, half: bool, to: usize): void {
  // One after the other: the product of the factors may be too large for a small component to need it.
  const before = half ? load<f32>(TWO_TO_96) : 1;
  for (let i: usize = 0; i < 4 * <usize>headDim; i += 4) store<f32>(to + i, load<f32>(from + i) * factor * before);
}

/** A query as int16, with a zero behind an odd one; returns its scale. */
function quantizeQuery(from: usize, headDim: i32, factor: f32, to: usize): f32 {
  let peak: f32 = 0;
  for (let i: usize = 0; i < <usize>headDim; i++) peak = max(peak, abs(load<f32>(from + 4 * i)));
  const inverse: f32 = peak > 0 ? 32767 / peak : 0;
  for (let i: usize = 0; i < <usize>headDim; i++) store<i16>(to + 2 * i, <i16>nearest(load<f32>(from + 4 * i) * inverse));
  if (headDim & 1) store<i16>(to + 2 * <usize>headDim, 0);
  return (peak / 32767) * factor;
}

/** Weights times the scales of int8 values, as int16; returns the scale of these. Positions without weight may hold anything. */
function quantizeWeights(weights: usize, scales: usize, to: usize): f32 {
  const none = f32x4.splat(0);
  // Of numbers that are not negative the order is that of their bits; NaN is beyond all of them and so not lost.
  let peak = none;
  for (let at: usize = 0; at < SCORES; at += 16) {
    const weight = v128.load(weights + at);
    const scaled = v128.and(f32x4.mul(weight, v128.load(scales + at)), f32x4.ne(weight, none));
    v128.store(weights + at, scaled);
    peak = i32x4.max_u(peak, scaled);
  }
  peak = i32x4.max_u(peak, v128.shuffle<i32>(peak, peak, 2, 3, 0, 1));
  peak = i32x4.max_u(peak, v128.shuffle<i32>(peak, peak, 1, 0, 3, 2));
  const most = f32x4.extract_lane(peak, 0);
  const inverse = f32x4.splat(most > 0 ? 32767 / most : 0);
  // The low bits of a sum with 1.5 · 2^23 are the whole number next to what was added.
  const magic = f32x4.splat(12582912);
  for (let at: usize = 0; at < SCORES; at += 32) {
    const first = i32x4.sub(madd(v128.load(weights + at), inverse, magic), magic);
    const second = i32x4.sub(madd(v128.load(weights + at, 16), inverse, magic), magic);
    v128.store(to, i16x8.narrow_i32x4_s(first, second));
    to += 16;
  }
  return most / 32767;
}

/** Puts -∞ outside `from` to `limit` of a chunk's scores. */
function keepBetween(scores: usize, from: i32, limit: i32): void {
  for (let i = 0, end = min(from, CHUNK); i < end; i++) store<f32>(scores + 4 * <usize>i, -Infinity);
  for (let i = max(limit, 0); i < CHUNK; i++) store<f32>(scores + 4 * <usize>i, -Infinity);
}

/** Whether a query at `position` sees the key at `other` in a block-sparse layer. */
@inline
export function seesBlock(position: i32, other: i32, head: i32): bool {
  const blockSize = argument(13);
  const block = other / blockSize;
  if (position / blockSize - block < argument(14)) return true;
  return (block + head * argument(16) + 1) % argument(15) == 0;
}

/** Whether any row sees any of the positions; tried at the first position of each block only, since a block is seen whole. */
function anySeen(from: i32, to: i32, firstRow: i32, count: i32, group: i32, keyHead: i32, start: i32): bool {
  const blockSize = argument(13);
  for (let r = 0; r < count; r++) {
    const row = firstRow + r;
    const position = start + row / group;
    const head = keyHead * group + (row % group);
    for (let other = from; other < to && other <= position; other = (other / blockSize + 1) * blockSize) {
      if (seesBlock(position, other, head)) return true;
    }
  }
  return false;
}

/** Puts -∞ where a row of a block-sparse layer does not see. */
function mask(scores: usize, first: i32, limit: i32, position: i32, head: i32): void {
  for (let i = 0; i < limit; i++) {
    if (!seesBlock(position, first + i, head)) store<f32>(scores + 4 * <usize>i, -Infinity);
  }
}

/** Rotates keys `[D][32]` in place; component i turns with component i + half. */
function rotateKeys(keys: usize, used: i32, cosines: usize, sines: usize, half: i32): void {
  for (let place: usize = 0; place < <usize>used; place++) {
    const c = cosines + 4 * place * <usize>half;
    const s = sines + 4 * place * <usize>half;
    for (let i: usize = 0; i < <usize>half; i++) {
      const first = keys + 4 * (i * PLACES + place);
      const second = first + 4 * PLACES * <usize>half;
      const a = load<f32>(first);
      const b = load<f32>(second);
      store<f32>(first, a * load<f32>(c + 4 * i) - b * load<f32>(s + 4 * i));
      store<f32>(second, b * load<f32>(c + 4 * i) + a * load<f32>(s + 4 * i));
    }
  }
}

/** Query rows, `size` bytes each, times the keys of a chunk → 32 scores of each row. */
function scoreRows(
  format: i32,
  rows: usize,
  count: i32,
  size: usize,
  keys: usize,
  scores: usize,
  keyScales: usize,
  rowScales: usize,
): void {
  let r = 0;
  for (; r + 4 <= count; r += 4) {
    const q = rows + <usize>r * size;
    const to = scores + <usize>r * SCORES;
    if (format == FLOAT32) floatsScores4(q, q + size, size, keys, to, SCORES);
    else if (format == FLOAT16) halvesScores4(q, q + size, size, keys, to, SCORES);
    else bytesScores4(q, q + size, size, keys, to, SCORES, keyScales, rowScales + 4 * <usize>r);
  }
  for (; r < count; r++) {
    const q = rows + <usize>r * size;
    const to = scores + <usize>r * SCORES;
    if (format == FLOAT32) floatsScores1(q, q + size, size, keys, to, SCORES);
    else if (format == FLOAT16) halvesScores1(q, q + size, size, keys, to, SCORES);
    else bytesScores1(q, q + size, size, keys, to, SCORES, keyScales, rowScales + 4 * <usize>r);
  }
}

/** Adds `used` values (pairs of int8 values) of a chunk, each times its weight, to the sums of every query row. */
function addValues(
  format: i32,
  weights: usize,
  used: usize,
  stride: usize,
  count: i32,
  headDim: i32,
  values: usize,
  sums: usize,
  sumsSize: usize,
  weightScales: usize,
): void {
  const wide: usize = 4 * <usize>(headDim & ~31);
  const bytesOfOne: usize = format == FLOAT32 ? 4 : format == FLOAT16 ? 2 : 1;
  for (let first: usize = 0; first < sumsSize; ) {
    const isWide = first < wide;
    let r = 0;
    for (; r + 4 <= count; r += 4) {
      const w = weights + <usize>r * stride;
      const to = sums + <usize>r * sumsSize + first;
      const end = w + 4 * used;
      const scales = weightScales + 4 * <usize>r;
      if (format == FLOAT32) {
        if (isWide) floatsValues4x32(w, end, stride, values, to, sumsSize);
        else floatsValues4x8(w, end, stride, values, to, sumsSize);
      } else if (format == FLOAT16) {
        if (isWide) halvesValues4x32(w, end, stride, values, to, sumsSize);
        else halvesValues4x8(w, end, stride, values, to, sumsSize);
      } else {
        if (isWide) bytesValues4x32(w, end, stride, values, to, sumsSize, scales);
        else bytesValues4x8(w, end, stride, values, to, sumsSize, scales);
      }
    }
    for (; r < count; r++) {
      const w = weights + <usize>r * stride;
      const to = sums + <usize>r * sumsSize + first;
      const end = w + 4 * used;
      const scales = weightScales + 4 * <usize>r;
      if (format == FLOAT32) {
        if (isWide) floatsValues1x32(w, end, stride, values, to, sumsSize);
        else floatsValues1x8(w, end, stride, values, to, sumsSize);
      } else if (format == FLOAT16) {
        if (isWide) halvesValues1x32(w, end, stride, values, to, sumsSize);
        else halvesValues1x8(w, end, stride, values, to, sumsSize);
      } else {
        if (isWide) bytesValues1x32(w, end, stride, values, to, sumsSize, scales);
        else bytesValues1x8(w, end, stride, values, to, sumsSize, scales);
      }
    }
    const components: usize = isWide ? 32 : 8;
    values += PLACES * components * bytesOfOne;
    first += 4 * components;
  }
}
