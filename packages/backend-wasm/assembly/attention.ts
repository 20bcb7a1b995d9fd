import {
  CHUNK, PLACES, chunkAddress, chunkSizeInBytes, FLOAT16, paddedHeadDim, widenKeys, widenValues,
} from './cache';
import { argument, FLOAT16_BITS, floatArgument, pointer, progress, scratch, TWO_TO_96 } from './control';
import { exp4, float16Even, float16Odd, largestOf, madd, sumOf, timesTwoTo16 } from './vector';

// Streaming softmax (arXiv:2112.05682, §2): 32 positions at a time, with the largest score so far, the sum of exponentials
// and the weighted sum of values carried along, so that no row of scores is ever whole in memory.
//
// A piece of work is one key/value head and up to 16 query rows that see it: tokens times the query heads of its group. Each
// is computed by one thread from the first position to the last.

const ROWS: i32 = 16;

/** What a thread needs: keys and values of a chunk, queries, scores, sums, and two numbers per row. */
export function attentionScratchSize(headDim: i32): usize {
  const padded = paddedHeadDim(headDim);
  return 4 * <usize>(CHUNK * headDim + CHUNK * padded + ROWS * headDim + ROWS * CHUNK + ROWS * padded + 2 * ROWS);
}

/**
 * Arguments: queries `[T, H·D]`, target, T, H, K, D, pages, format of the cache, position of the first query, scale, 1 when
 * causal, number of positions, window (0 for none), block size (0 when dense), local blocks, vertical stride, head step,
 * cosines `[S, R/2]` of keys stored unrotated (0 for none), sines, R/2.
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
  const padded = paddedHeadDim(headDim);
  const chunkSize = chunkSizeInBytes(format, headDim);
  const keySpace = scratch(thread);
  const valueSpace = keySpace + 4 * <usize>(CHUNK * headDim);
  const rows = valueSpace + 4 * <usize>(CHUNK * padded);
  const scores = rows + 4 * <usize>(ROWS * headDim);
  const sums = scores + 4 * <usize>(ROWS * CHUNK);
  const largest = sums + 4 * <usize>(ROWS * padded);
  const totals = largest + 4 * ROWS;

  // Pieces are dealt out in turn: later tokens see more keys, and every thread gets its part of these.
  for (let piece = thread; piece < keyHeads * tiles; piece += threads) {
    const keyHead = piece / tiles;
    const firstRow = (piece % tiles) * ROWS;
    const count = min(ROWS, rowCount - firstRow);
    for (let r = 0; r < count; r++) {
      const row = firstRow + r;
      const at: usize = 4 * <usize>(((row / group) * heads + keyHead * group + (row % group)) * headDim);
      memory.copy(rows + 4 * <usize>(r * headDim), queries + at, 4 * <usize>headDim);
      store<f32>(largest + 4 * <usize>r, -Infinity);
      store<f32>(totals + 4 * <usize>r, 0);
    }
    memory.fill(sums, 0, 4 * <usize>(count * padded));

    const firstPosition = start + firstRow / group;
    const lastPosition = start + (firstRow + count - 1) / group;
    const end = causal ? lastPosition + 1 : positions;
    const begin = window > 0 ? max(0, firstPosition + 1 - window) : 0;
    for (let chunk = begin / CHUNK; chunk * CHUNK < end; chunk++) {
      if (blockSize > 0 && !anySeen(chunk * CHUNK, min(end, (chunk + 1) * CHUNK), firstRow, count, group, keyHead, start)) {
        continue;
      }
      const address = chunkAddress(pages, chunk, keyHead, keyHeads, chunkSize);
      const used = min(CHUNK, end - chunk * CHUNK);
      // Few rows do not repay widening to memory: their kernels widen float16 in registers.
      const direct = format == FLOAT16 && half == 0 && count < 4;
      if (direct) {
        for (let r = 0; r < count; r++) {
          const to = scores + 4 * <usize>(r * CHUNK);
          scoreOneHalf(rows + 4 * <usize>(r * headDim), 4 * <usize>headDim, address, to);
        }
      } else {
        let keys = widenKeys(format, address, headDim, keySpace);
        if (half > 0) {
          if (keys != keySpace) memory.copy(keySpace, keys, 4 * <usize>(CHUNK * headDim));
          keys = keySpace;
          const at: usize = 4 * <usize>(chunk * CHUNK * half);
          rotateKeys(keys, used, cosines + at, sines + at, half);
        }
        scoreRows(rows, count, headDim, keys, scores);
      }
      for (let r = 0; r < count; r++) {
        const row = firstRow + r;
        const position = start + row / group;
        const to = scores + 4 * <usize>(r * CHUNK);
        const limit = causal ? min(used, position + 1 - chunk * CHUNK) : used;
        const from = window > 0 ? max(0, position + 1 - window - chunk * CHUNK) : 0;
        if (blockSize > 0) mask(to, chunk * CHUNK, limit, position, keyHead * group + (row % group));
        soften(to, from, limit, scale, largest + 4 * <usize>r, totals + 4 * <usize>r, sums + 4 * <usize>(r * padded), padded);
      }
      if (direct) {
        const values = address + 2 * <usize>(CHUNK * headDim);
        for (let r = 0; r < count; r++) {
          const to = sums + 4 * <usize>(r * padded);
          addOneHalf(scores + 4 * <usize>(r * CHUNK), used, values, headDim, to);
        }
      } else {
        const values = widenValues(format, address, headDim, valueSpace);
        addValues(scores, count, used, values, headDim, padded, sums);
      }
    }
    for (let r = 0; r < count; r++) {
      const row = firstRow + r;
      const to = target + 4 * <usize>(((row / group) * heads + keyHead * group + (row % group)) * headDim);
      const total = load<f32>(totals + 4 * <usize>r);
      const from = sums + 4 * <usize>(r * padded);
      for (let i: usize = 0; i < <usize>headDim; i++) store<f32>(to + 4 * i, load<f32>(from + 4 * i) / total);
    }
    progress(thread);
  }
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

/** Query rows `[count, D]` times keys `[D][32]` → `[count][32]`. Four rows at a time share the loads of keys. */
function scoreRows(rows: usize, count: i32, headDim: i32, keys: usize, scores: usize): void {
  let r = 0;
  const size: usize = 4 * <usize>headDim;
  for (; r + 4 <= count; r += 4) {
    const q = rows + <usize>r * size;
    const to = scores + 4 * <usize>(r * CHUNK);
    for (let part: usize = 0; part < 128; part += 32) scoreFour(q, size, keys + part, to + part);
  }
  for (; r < count; r++) scoreOne(rows + <usize>r * size, size, keys, scores + 4 * <usize>(r * CHUNK));
}

/** Four rows times eight positions. */
function scoreFour(q: usize, size: usize, keys: usize, to: usize): void {
  let a0 = f32x4.splat(0), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
  const b = q + size, c = b + size, d = c + size;
  for (let i: usize = 0; i < size; i += 4) {
    const k0 = v128.load(keys), k1 = v128.load(keys, 16);
    let x = v128.load32_splat(q + i);
    a0 = madd(x, k0, a0);
    a1 = madd(x, k1, a1);
    x = v128.load32_splat(b + i);
    b0 = madd(x, k0, b0);
    b1 = madd(x, k1, b1);
    x = v128.load32_splat(c + i);
    c0 = madd(x, k0, c0);
    c1 = madd(x, k1, c1);
    x = v128.load32_splat(d + i);
    d0 = madd(x, k0, d0);
    d1 = madd(x, k1, d1);
    keys += 128;
  }
  v128.store(to, a0, 0);
  v128.store(to, a1, 16);
  v128.store(to, b0, 128);
  v128.store(to, b1, 144);
  v128.store(to, c0, 256);
  v128.store(to, c1, 272);
  v128.store(to, d0, 384);
  v128.store(to, d1, 400);
}

/** One row times 32 positions. */
function scoreOne(q: usize, size: usize, keys: usize, to: usize): void {
  let a = f32x4.splat(0), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  for (let i: usize = 0; i < size; i += 4) {
    const x = v128.load32_splat(q + i);
    a = madd(x, v128.load(keys, 0), a);
    b = madd(x, v128.load(keys, 16), b);
    c = madd(x, v128.load(keys, 32), c);
    d = madd(x, v128.load(keys, 48), d);
    e = madd(x, v128.load(keys, 64), e);
    f = madd(x, v128.load(keys, 80), f);
    g = madd(x, v128.load(keys, 96), g);
    h = madd(x, v128.load(keys, 112), h);
    keys += 128;
  }
  v128.store(to, a, 0);
  v128.store(to, b, 16);
  v128.store(to, c, 32);
  v128.store(to, d, 48);
  v128.store(to, e, 64);
  v128.store(to, f, 80);
  v128.store(to, g, 96);
  v128.store(to, h, 112);
}

/**
 * Turns the 32 scores of a row into exponentials against the largest score so far, 0 outside `from` to `limit`, and brings
 * what was summed before to the new largest.
 */
function soften(
  scores: usize,
  from: i32,
  limit: i32,
  scale: f32,
  largest: usize,
  total: usize,
  sums: usize,
  padded: i32,
): void {
  for (let i = 0, end = min(from, CHUNK); i < end; i++) store<f32>(scores + 4 * <usize>i, -Infinity);
  for (let i = max(limit, 0); i < CHUNK; i++) store<f32>(scores + 4 * <usize>i, -Infinity);
  const factor = f32x4.splat(scale);
  // After the scale, which may be negative.
  let peak = f32x4.splat(-Infinity);
  for (let i: usize = 0; i < 128; i += 16) {
    const raw = v128.load(scores + i);
    const masked = f32x4.eq(raw, f32x4.splat(-Infinity));
    const scaled = v128.bitselect(raw, f32x4.mul(raw, factor), masked);
    v128.store(scores + i, scaled);
    peak = f32x4.max(peak, scaled);
  }
  const before = load<f32>(largest);
  const now = max(before, largestOf(peak));
  if (now == -Infinity) {
    // Nothing seen yet: no row of exponentials can be made without a finite largest.
    memory.fill(scores, 0, 128);
    return;
  }
  const shift = f32x4.splat(now);
  let sum = f32x4.splat(0);
  for (let i: usize = 0; i < 128; i += 16) {
    const e = exp4(f32x4.sub(v128.load(scores + i), shift));
    v128.store(scores + i, e);
    sum = f32x4.add(sum, e);
  }
  let carried = load<f32>(total);
  if (now != before) {
    store<f32>(largest, now);
    // exp(-∞) is 0: nothing was summed.
    const correction = f32x4.extract_lane(exp4(f32x4.splat(before - now)), 0);
    carried *= correction;
    const c = f32x4.splat(correction);
    for (let i: usize = 0; i < 4 * <usize>padded; i += 16) v128.store(sums + i, f32x4.mul(v128.load(sums + i), c));
  }
  store<f32>(total, carried + sumOf(sum));
}

/** Adds `used` positions of values (in slices, see `cache.ts`), each times its weight, to the sums of every query row. */
function addValues(weights: usize, count: i32, used: i32, values: usize, headDim: i32, padded: i32, sums: usize): void {
  const size: usize = 4 * <usize>padded;
  const wide: usize = 4 * <usize>(headDim & ~31);
  for (let first: usize = 0; first < size; ) {
    // Bytes of a slice's rows: 32 components, or 8 at the end.
    const stride: usize = first < wide ? 128 : 32;
    const slice = values + first * CHUNK;
    let r = 0;
    for (; r + 4 <= count; r += 4) {
      const w = weights + 4 * <usize>(r * CHUNK);
      const to = sums + <usize>r * size + first;
      for (let i: usize = 0; i < stride; i += 32) addFour(w, used, slice + i, stride, to + i, size);
    }
    for (; r < count; r++) {
      const w = weights + 4 * <usize>(r * CHUNK);
      const to = sums + <usize>r * size + first;
      if (stride == 128) addOneWide(w, used, slice, to);
      else addOneNarrow(w, used, slice, to);
    }
    first += stride;
  }
}

/** One row times 32 positions of float16 keys. */
function scoreOneHalf(q: usize, size: usize, keys: usize, to: usize): void {
  let a = f32x4.splat(0), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  const before = v128.load(TWO_TO_96), bits = v128.load(FLOAT16_BITS);
  for (let i: usize = 0; i < size; i += 4) {
    const x = f32x4.mul(v128.load32_splat(q + i), before);
    let v = v128.load(keys, 0);
    a = madd(x, float16Even(v, bits), a);
    b = madd(x, float16Odd(v, bits), b);
    v = v128.load(keys, 16);
    c = madd(x, float16Even(v, bits), c);
    d = madd(x, float16Odd(v, bits), d);
    v = v128.load(keys, 32);
    e = madd(x, float16Even(v, bits), e);
    f = madd(x, float16Odd(v, bits), f);
    v = v128.load(keys, 48);
    g = madd(x, float16Even(v, bits), g);
    h = madd(x, float16Odd(v, bits), h);
    keys += 64;
  }
  v128.store(to, timesTwoTo16(a), 0);
  v128.store(to, timesTwoTo16(b), 16);
  v128.store(to, timesTwoTo16(c), 32);
  v128.store(to, timesTwoTo16(d), 48);
  v128.store(to, timesTwoTo16(e), 64);
  v128.store(to, timesTwoTo16(f), 80);
  v128.store(to, timesTwoTo16(g), 96);
  v128.store(to, timesTwoTo16(h), 112);
}

/** One row, all components of float16 values. */
function addOneHalf(weights: usize, used: i32, values: usize, headDim: i32, to: usize): void {
  const wide = headDim & ~31;
  const padded = paddedHeadDim(headDim);
  const before = v128.load(TWO_TO_96), bits = v128.load(FLOAT16_BITS);
  for (let first = 0; first < wide; first += 32) {
    let a = f32x4.splat(0), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
    let from = values;
    for (let i: usize = 0; i < <usize>used; i++) {
      const x = f32x4.mul(v128.load32_splat(weights + 4 * i), before);
      let v = v128.load(from, 0);
      a = madd(x, float16Even(v, bits), a);
      b = madd(x, float16Odd(v, bits), b);
      v = v128.load(from, 16);
      c = madd(x, float16Even(v, bits), c);
      d = madd(x, float16Odd(v, bits), d);
      v = v128.load(from, 32);
      e = madd(x, float16Even(v, bits), e);
      f = madd(x, float16Odd(v, bits), f);
      v = v128.load(from, 48);
      g = madd(x, float16Even(v, bits), g);
      h = madd(x, float16Odd(v, bits), h);
      from += 64;
    }
    addTo(to, a);
    addTo(to + 16, b);
    addTo(to + 32, c);
    addTo(to + 48, d);
    addTo(to + 64, e);
    addTo(to + 80, f);
    addTo(to + 96, g);
    addTo(to + 112, h);
    to += 128;
    values += 2048;
  }
  for (let first = wide; first < padded; first += 8) {
    let a = f32x4.splat(0), b = a;
    for (let i: usize = 0; i < <usize>used; i++) {
      const x = f32x4.mul(v128.load32_splat(weights + 4 * i), before);
      const v = v128.load(values + 16 * i);
      a = madd(x, float16Even(v, bits), a);
      b = madd(x, float16Odd(v, bits), b);
    }
    addTo(to, a);
    addTo(to + 16, b);
    to += 32;
    values += 512;
  }
}

@inline
function addTo(to: usize, v: v128): void {
  v128.store(to, f32x4.add(v128.load(to), timesTwoTo16(v)));
}

/** Four rows, eight components. */
function addFour(weights: usize, used: i32, values: usize, stride: usize, to: usize, size: usize): void {
  const second = to + size, third = second + size, fourth = third + size;
  let a0 = v128.load(to), a1 = v128.load(to, 16);
  let b0 = v128.load(second), b1 = v128.load(second, 16);
  let c0 = v128.load(third), c1 = v128.load(third, 16);
  let d0 = v128.load(fourth), d1 = v128.load(fourth, 16);
  for (let i = 0; i < used; i++) {
    const v0 = v128.load(values), v1 = v128.load(values, 16);
    let x = v128.load32_splat(weights, 0);
    a0 = madd(x, v0, a0);
    a1 = madd(x, v1, a1);
    x = v128.load32_splat(weights, 128);
    b0 = madd(x, v0, b0);
    b1 = madd(x, v1, b1);
    x = v128.load32_splat(weights, 256);
    c0 = madd(x, v0, c0);
    c1 = madd(x, v1, c1);
    x = v128.load32_splat(weights, 384);
    d0 = madd(x, v0, d0);
    d1 = madd(x, v1, d1);
    weights += 4;
    values += stride;
  }
  v128.store(to, a0);
  v128.store(to, a1, 16);
  v128.store(second, b0);
  v128.store(second, b1, 16);
  v128.store(third, c0);
  v128.store(third, c1, 16);
  v128.store(fourth, d0);
  v128.store(fourth, d1, 16);
}

/** One row, 32 components. */
function addOneWide(weights: usize, used: i32, values: usize, to: usize): void {
  let a = v128.load(to, 0), b = v128.load(to, 16), c = v128.load(to, 32), d = v128.load(to, 48);
  let e = v128.load(to, 64), f = v128.load(to, 80), g = v128.load(to, 96), h = v128.load(to, 112);
  for (let i = 0; i < used; i++) {
    const x = v128.load32_splat(weights);
    a = madd(x, v128.load(values, 0), a);
    b = madd(x, v128.load(values, 16), b);
    c = madd(x, v128.load(values, 32), c);
    d = madd(x, v128.load(values, 48), d);
    e = madd(x, v128.load(values, 64), e);
    f = madd(x, v128.load(values, 80), f);
    g = madd(x, v128.load(values, 96), g);
    h = madd(x, v128.load(values, 112), h);
    weights += 4;
    values += 128;
  }
  v128.store(to, a, 0);
  v128.store(to, b, 16);
  v128.store(to, c, 32);
  v128.store(to, d, 48);
  v128.store(to, e, 64);
  v128.store(to, f, 80);
  v128.store(to, g, 96);
  v128.store(to, h, 112);
}

/** One row, eight components. */
function addOneNarrow(weights: usize, used: i32, values: usize, to: usize): void {
  let a = v128.load(to), b = v128.load(to, 16);
  for (let i = 0; i < used; i++) {
    const x = v128.load32_splat(weights);
    a = madd(x, v128.load(values), a);
    b = madd(x, v128.load(values, 16), b);
    weights += 4;
    values += 32;
  }
  v128.store(to, a);
  v128.store(to, b, 16);
}
