import { argument, FLOAT16_BITS, pointer, shareStart, TWO_TO_112 } from './control';
import { float16Even, float16Odd, float32ToFloat16, float32ToFloat16x4, interleavedIndex } from './vector';

// Keys and values of one layer lie in pages of 256 positions. A page holds, for each key/value head, eight "chunks" of 32
// positions one after the other; a chunk holds the keys `[D][32]` (transposed: the lanes of a score are positions) and the
// values, cut into slices of 32 components `[32 positions][32]`, what is left in slices of eight `[32 positions][8]`; D' is D
// rounded up to a multiple of 8. So a head streams through memory in the order in which it is used, nearly a hundred
// kilobytes at a time, and a growing cache never moves.
//
//   float32: as they are.
//   float16: the same in 2 bytes, eights interleaved (see `vector.ts`).
//   int8: before the bytes 32 float32 scales of the keys and 32 of the values, one per position and head. Pairs lie together
//     that the product of int16 adds: keys `[D/2][32][2 components]` (a last component without a partner has a zero), values
//     `[16 pairs of positions][32 or 8 components][2 positions]`.

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

/** Where component `i` of the int8 key at `place` lies among the keys of a chunk. */
@inline
export function keyByteIndex(place: usize, i: usize): usize {
  return (i >> 1) * 2 * PLACES + 2 * place + (i & 1);
}

/** Where component `i` of the int8 value at `place` lies among the values of a chunk. */
@inline
export function valueByteIndex(headDim: usize, place: usize, i: usize): usize {
  const wide = headDim & ~(<usize>31);
  if (i < wide) return (i >> 5) * 1024 + (place >> 1) * 64 + (i & 31) * 2 + (place & 1);
  const rest = i - wide;
  return wide * PLACES + (rest >> 3) * 256 + (place >> 1) * 16 + (rest & 7) * 2 + (place & 1);
}

/** Bytes of the scales in front of a chunk. */
@inline
export function scalesSizeInBytes(format: i32): usize {
  return format == INT8 ? 8 * PLACES : 0;
}

/** Bytes of the keys of one head in 32 positions. */
@inline
export function keysSizeInBytes(format: i32, headDim: i32): usize {
  if (format == INT8) return PLACES * <usize>((headDim + 1) & ~1);
  return PLACES * <usize>headDim * (format == FLOAT32 ? 4 : 2);
}

/** Bytes of the keys and values of one head in 32 positions. */
export function chunkSizeInBytes(format: i32, headDim: i32): usize {
  const bytesOfOne: usize = format == FLOAT32 ? 4 : format == FLOAT16 ? 2 : 1;
  const values = PLACES * <usize>paddedHeadDim(headDim) * bytesOfOne;
  return scalesSizeInBytes(format) + keysSizeInBytes(format, headDim) + values;
}

/** Where a head's chunk lies. `pages` is a table of addresses. */
@inline
export function chunkAddress(pages: usize, chunk: i32, head: i32, chunkSize: usize): usize {
  const page = <usize>load<u32>(pages + 4 * <usize>(chunk / CHUNKS_PER_PAGE));
  return page + <usize>(head * CHUNKS_PER_PAGE + (chunk % CHUNKS_PER_PAGE)) * chunkSize;
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
      const chunk = chunkAddress(pages, position / CHUNK, head, chunkSize);
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
    let i: usize = 0;
    if (ASC_FEATURE_SIMD) {
      for (; i + 8 <= headDim; i += 8) {
        const at = column + 2 * PLACES * i;
        let v = float32ToFloat16x4(v128.load(keys + 4 * i));
        v128.store_lane<u16>(at, v, 0);
        v128.store_lane<u16>(at, v, 2, 64);
        v128.store_lane<u16>(at, v, 4, 128);
        v128.store_lane<u16>(at, v, 6, 192);
        v = float32ToFloat16x4(v128.load(keys + 4 * i, 16));
        v128.store_lane<u16>(at, v, 0, 256);
        v128.store_lane<u16>(at, v, 2, 320);
        v128.store_lane<u16>(at, v, 4, 384);
        v128.store_lane<u16>(at, v, 6, 448);
        // Eights lie as pairs (0, 4), (1, 5), …: one half shifted over the other.
        const high = i32x4.shl(float32ToFloat16x4(v128.load(values + 4 * i, 16)), 16);
        const eight = v128.or(float32ToFloat16x4(v128.load(values + 4 * i)), high);
        v128.store(rows + 2 * valueIndex(headDim, place, i), eight);
      }
    }
    for (; i < headDim; i++) {
      store<u16>(column + 2 * PLACES * i, float32ToFloat16(load<f32>(keys + 4 * i)));
      const at = interleavedIndex(valueIndex(headDim, place, i));
      store<u16>(rows + 2 * at, float32ToFloat16(load<f32>(values + 4 * i)));
    }
  } else {
    const bytes = chunk + scalesSizeInBytes(INT8);
    const rows = bytes + keysSizeInBytes(INT8, <i32>headDim);
    const keyScale = scaleOf(keys, headDim);
    const valueScale = scaleOf(values, headDim);
    store<f32>(chunk + 4 * place, keyScale);
    store<f32>(chunk + 4 * place, valueScale, 128);
    for (let i: usize = 0; i < headDim; i++) {
      store<i8>(bytes + keyByteIndex(place, i), quantized(load<f32>(keys + 4 * i), keyScale));
      store<i8>(rows + valueByteIndex(headDim, place, i), quantized(load<f32>(values + 4 * i), valueScale));
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

/** The keys of a chunk as float32 `[D][32]`, at `to`: for what works on keys before they are used. */
export function widenKeys(format: i32, chunk: usize, headDim: i32, to: usize): void {
  const count = CHUNK * headDim;
  if (format == FLOAT32) {
    memory.copy(to, chunk, 4 * <usize>count);
  } else if (format == FLOAT16) {
    const factor = v128.load(TWO_TO_112), bits = v128.load(FLOAT16_BITS);
    for (let i = 0; i < count; i += 8) {
      const v = v128.load(chunk);
      v128.store(to, f32x4.mul(float16Even(v, bits), factor));
      v128.store(to, f32x4.mul(float16Odd(v, bits), factor), 16);
      chunk += 16;
      to += 32;
    }
  } else {
    const bytes = chunk + scalesSizeInBytes(INT8);
    for (let i: usize = 0; i < <usize>headDim; i++) {
      for (let place: usize = 0; place < PLACES; place++) {
        const value = <f32>load<i8>(bytes + keyByteIndex(place, i)) * load<f32>(chunk + 4 * place);
        store<f32>(to, value);
        to += 4;
      }
    }
  }
}
