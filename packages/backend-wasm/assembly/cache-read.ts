import {
  CHUNK, chunkAddress, chunkSizeInBytes, FLOAT16, FLOAT32, INT8, keyByteIndex, keysSizeInBytes, PLACES, scalesSizeInBytes,
  valueByteIndex, valueIndex,
} from './cache';
import { argument, pointer, progress, shareStart } from './control';
import { float16ToFloat32, interleavedIndex } from './vector';

// The way back from the layout of the cache (`cache.ts`): one position of one head as float32. It reads what `putPosition` wrote
// and knows nothing else about the layout.

export function takePosition(format: i32, chunk: usize, place: usize, headDim: usize, keys: usize, values: usize): void {
  if (format == FLOAT32) {
    const rows = chunk + 4 * PLACES * headDim;
    for (let i: usize = 0; i < headDim; i++) {
      store<f32>(keys + 4 * i, load<f32>(chunk + 4 * (i * PLACES + place)));
      store<f32>(values + 4 * i, load<f32>(rows + 4 * valueIndex(headDim, place, i)));
    }
  } else if (format == FLOAT16) {
    const column = chunk + 2 * interleavedIndex(place);
    const rows = chunk + 2 * PLACES * headDim;
    for (let i: usize = 0; i < headDim; i++) {
      store<f32>(keys + 4 * i, float16ToFloat32(load<u16>(column + 2 * PLACES * i)));
      const at = interleavedIndex(valueIndex(headDim, place, i));
      store<f32>(values + 4 * i, float16ToFloat32(load<u16>(rows + 2 * at)));
    }
  } else {
    const bytes = chunk + scalesSizeInBytes(INT8);
    const rows = bytes + keysSizeInBytes(INT8, <i32>headDim);
    const keyScale = keyScaleOf(chunk, place);
    const valueScale = valueScaleOf(chunk, place);
    for (let i: usize = 0; i < headDim; i++) {
      store<f32>(keys + 4 * i, <f32>load<i8>(bytes + keyByteIndex(place, i)) * keyScale);
      store<f32>(values + 4 * i, <f32>load<i8>(rows + valueByteIndex(headDim, place, i)) * valueScale);
    }
  }
}

@inline
function keyScaleOf(chunk: usize, place: usize): f32 {
  return load<f32>(chunk + 4 * place);
}

@inline
function valueScaleOf(chunk: usize, place: usize): f32 {
  return load<f32>(chunk + 4 * place, 128);
}

/**
 * Positions of the cache such that appending them again stores the same bits. Arguments as for `appendToCache`: pages, format,
 * K, D, first position, T, keys `[T, K·D]`, values. Threads share the heads.
 */
export function readCache(thread: i32, threads: i32): void {
  const pages = pointer(0);
  const format = argument(1);
  const heads = argument(2);
  const headDim = argument(3);
  const start = argument(4);
  const tokens = argument(5);
  const chunkSize = chunkSizeInBytes(format, headDim);
  const end = shareStart(heads, thread + 1, threads);
  for (let head = shareStart(heads, thread, threads); head < end; head++) {
    for (let token = 0; token < tokens; token++) {
      const position = start + token;
      const place = <usize>(position % CHUNK);
      const chunk = chunkAddress(pages, position / CHUNK, head, chunkSize);
      const to: usize = 4 * (<usize>token * <usize>heads + <usize>head) * <usize>headDim;
      takePosition(format, chunk, place, <usize>headDim, pointer(6) + to, pointer(7) + to);
      if (format == FLOAT32 || format == FLOAT16) continue;
      keepScale(pointer(6) + to, headDim, keyScaleOf(chunk, place));
      keepScale(pointer(7) + to, headDim, valueScaleOf(chunk, place));
    }
    progress(thread);
  }
}

/**
 * A scale of int8 is the largest magnitude / 127, rounded; 127 times the scale, rounded again, does not always give it back. A
 * neighbour of that product does, because the magnitude that the scale was made of is one: it is put in its place.
 */
function keepScale(numbers: usize, size: i32, scale: f32): void {
  const product: f32 = 127 * scale;
  if (product / 127 == scale || !(product > 0 && product < Infinity)) return;
  const bits = reinterpret<u32>(product);
  const below = reinterpret<f32>(bits - 1);
  const peak = below / 127 == scale ? below : reinterpret<f32>(bits + 1);
  for (let i: usize = 0; i < <usize>size; i++) {
    const value = load<f32>(numbers + 4 * i);
    if (abs(value) == product) store<f32>(numbers + 4 * i, copysign(peak, value));
  }
}
