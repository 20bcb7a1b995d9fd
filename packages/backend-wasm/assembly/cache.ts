import { argument, FLOAT16_BITS, pointer, shareStart, TWO_TO_112 } from './control';
import { float16Even, float16Odd, float32ToFloat16, interleavedIndex } from './vector';

// Keys and values of one layer lie in pages of 256 positions. A page holds, for each 32 positions ("chunk") and each
// key/value head, the keys `[D][32]` (transposed: the lanes of a score are positions) and the values, cut into slices of 32
// components `[32 positions][32]`, what is left in slices of eight `[32 positions][8]`; D' is D rounded up to a multiple of 8.
// So a head streams through whole kilobytes in the order in which they are used, and a growing cache never moves.
//
//   float32: as they are.
//   float16: the same in 2 bytes, eights interleaved (see `vector.ts`).
//   int8: bytes, before them 32 float32 scales of the keys and 32 of the values, one per position and head.

export const CHUNK: i32 = 32;
/** The same for sums of addresses. */
export const PLACES: usize = 32;
const CHUNKS_PER_PAGE: i32 = 8;

export const FLOAT32: i32 = 0;
export const FLOAT16: i32 = 1;
export const INT8: i32 = 2;

@inline
export function paddedHeadDim(headDim: i32): i32 {
  return (headDim + 7) & ~7;
}

/** Where component `i` of the value at `place` lies among the values of a chunk, in numbers. */
@inline
export function valueIndex(headDim: usize, place: usize, i: usize): usize {
  const wide = headDim & ~(<usize>31);
  if (i < wide) return (i >> 5) * 1024 + place * 32 + (i & 31);
  const rest = i - wide;
  return wide * PLACES + (rest >> 3) * 256 + place * 8 + (rest & 7);
}

/** Bytes of the keys and values of one head in 32 positions. */
export function chunkSizeInBytes(format: i32, headDim: i32): usize {
  const numbers = <usize>(CHUNK * (headDim + paddedHeadDim(headDim)));
  if (format == FLOAT32) return 4 * numbers;
  if (format == FLOAT16) return 2 * numbers;
  return numbers + 8 * PLACES;
}

/** Where a head's chunk lies. `pages` is a table of addresses. */
@inline
export function chunkAddress(pages: usize, chunk: i32, head: i32, heads: i32, chunkSize: usize): usize {
  const page = <usize>load<u32>(pages + 4 * <usize>(chunk / CHUNKS_PER_PAGE));
  return page + <usize>((chunk % CHUNKS_PER_PAGE) * heads + head) * chunkSize;
}

/** Arguments: pages, format, K, D, first position, T, keys `[T, K·D]`, values. Threads share the heads. */
export function appendToCache(thread: i32, threads: i32): void {
  const pages = pointer(0);
  const format = argument(1);
  const heads = argument(2);
  const headDim = argument(3);
  const start = argument(4);
  const tokens = argument(5);
  const keys = pointer(6);
  const values = pointer(7);
  const chunkSize = chunkSizeInBytes(format, headDim);
  const end = shareStart(heads, thread + 1, threads);
  for (let head = shareStart(heads, thread, threads); head < end; head++) {
    for (let token = 0; token < tokens; token++) {
      const position = start + token;
      const chunk = chunkAddress(pages, position / CHUNK, head, heads, chunkSize);
      const from: usize = 4 * (<usize>token * <usize>heads + <usize>head) * <usize>headDim;
      putPosition(format, chunk, <usize>(position % CHUNK), <usize>headDim, keys + from, values + from);
    }
  }
}

function putPosition(format: i32, chunk: usize, place: usize, headDim: usize, keys: usize, values: usize): void {
  if (format == FLOAT32) {
    const rows = chunk + 4 * PLACES * headDim;
    for (let i: usize = 0; i < headDim; i++) {
      store<f32>(chunk + 4 * (i * PLACES + place), load<f32>(keys + 4 * i));
      store<f32>(rows + 4 * valueIndex(headDim, place, i), load<f32>(values + 4 * i));
    }
  } else if (format == FLOAT16) {
    const column = chunk + 2 * interleavedIndex(place);
    const rows = chunk + 2 * PLACES * headDim;
    for (let i: usize = 0; i < headDim; i++) {
      store<u16>(column + 2 * PLACES * i, float32ToFloat16(load<f32>(keys + 4 * i)));
      const at = interleavedIndex(valueIndex(headDim, place, i));
      store<u16>(rows + 2 * at, float32ToFloat16(load<f32>(values + 4 * i)));
    }
  } else {
    const bytes = chunk + 8 * PLACES;
    const rows = bytes + PLACES * headDim;
    const keyScale = scaleOf(keys, headDim);
    const valueScale = scaleOf(values, headDim);
    store<f32>(chunk + 4 * place, keyScale);
    store<f32>(chunk + 4 * place, valueScale, 128);
    for (let i: usize = 0; i < headDim; i++) {
      store<i8>(bytes + i * PLACES + place, quantized(load<f32>(keys + 4 * i), keyScale));
      store<i8>(rows + valueIndex(headDim, place, i), quantized(load<f32>(values + 4 * i), valueScale));
    }
  }
}

/** Largest magnitude / 127. A NaN among the numbers makes the scale NaN, so that it is not lost. */
function scaleOf(from: usize, size: usize): f32 {
  let largest: f32 = 0;
  for (let i: usize = 0; i < size; i++) largest = max(largest, abs(load<f32>(from + 4 * i)));
  return largest / 127;
}

function quantized(value: f32, scale: f32): i8 {
  return scale > 0 ? <i8>nearest(value / scale) : 0;
}

/** The keys of a chunk as float32 `[D][32]`: where they lie, or at `to`. */
export function widenKeys(format: i32, chunk: usize, headDim: i32, to: usize): usize {
  if (format == FLOAT32) return chunk;
  if (format == FLOAT16) {
    widenHalves(chunk, CHUNK * headDim, to);
    return to;
  }
  const bytes = chunk + 8 * PLACES;
  for (let i: usize = 0; i < <usize>(CHUNK * headDim); i += 4) {
    const scales = v128.load(chunk + 4 * (i & (PLACES - 1)));
    v128.store(to + 4 * i, f32x4.mul(widenBytes(bytes + i), scales));
  }
  return to;
}

/** The values of a chunk as float32, in the same order: where they lie, or at `to`. */
export function widenValues(format: i32, chunk: usize, headDim: i32, to: usize): usize {
  const keys = <usize>(CHUNK * headDim);
  const padded = paddedHeadDim(headDim);
  if (format == FLOAT32) return chunk + 4 * keys;
  if (format == FLOAT16) {
    widenHalves(chunk + 2 * keys, CHUNK * padded, to);
    return to;
  }
  let from = chunk + 8 * PLACES + keys;
  const scales = chunk + 4 * PLACES;
  let at = to;
  for (let first = 0; first < padded; ) {
    const width = first + 32 <= headDim ? 32 : 8;
    for (let place: usize = 0; place < PLACES; place++) {
      const scale = v128.load32_splat(scales + 4 * place);
      for (let i = 0; i < width; i += 4) {
        v128.store(at, f32x4.mul(widenBytes(from), scale));
        from += 4;
        at += 16;
      }
    }
    first += width;
  }
  return to;
}

@inline
function widenBytes(from: usize): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(from))));
}

function widenHalves(from: usize, count: i32, to: usize): void {
  const factor = v128.load(TWO_TO_112), bits = v128.load(FLOAT16_BITS);
  for (let i = 0; i < count; i += 8) {
    const v = v128.load(from);
    v128.store(to, f32x4.mul(float16Even(v, bits), factor));
    v128.store(to, f32x4.mul(float16Odd(v, bits), factor), 16);
    from += 16;
    to += 32;
  }
}
