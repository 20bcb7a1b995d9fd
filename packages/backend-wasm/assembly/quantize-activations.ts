import { argument, pointer, shareStart } from './control';

// Activations as the integer kernels read them: int8 in groups of 32 columns with a float32 scale, for tiles of 1 or 4 tokens.
// A group of a tile holds, each for all its tokens side by side:
//   quads: 8 × four int8 (columns 4j to 4j+3), or pairs: 16 × two int16 (columns (4j, 4j+2), then (4j+1, 4j+3));
//   a scale, float32;
//   the start value of a product with nibbles, which are stored 8 too large: -8 times the sum of the columns; as one int32
//   beside pairs, and beside quads as two int16 for the two halves of a quad, since the dot product of quads keeps these apart;
//   the sum of the columns times the scale, float32, which a format with offsets multiplies by these.

/** Bytes of one group of a tile. Sixteen-byte multiples, for the sake of vector loads. */
@inline
export function groupSizeInBytes(tokensPerTile: i32, quads: bool): usize {
  if (tokensPerTile == 1) return quads ? 48 : 80;
  return quads ? 176 : 304;
}

/**
 * Arguments: x `[T, K]`, T, K (a multiple of 32), target, tokens per tile, 1 for quads and 0 for pairs. Tokens beyond T in the
 * last tile are zero.
 */
export function quantizeActivations(thread: i32, threads: i32): void {
  const x = pointer(0);
  const tokens = argument(1);
  const columns = argument(2);
  const target = pointer(3);
  const perTile = argument(4);
  const quads = argument(5) != 0;
  const groups = columns >> 5;
  const groupSize = groupSizeInBytes(perTile, quads);
  const tiles = (tokens + perTile - 1) / perTile;
  const end = shareStart(tiles, thread + 1, threads);
  for (let tile = shareStart(tiles, thread, threads); tile < end; tile++) {
    for (let inTile = 0; inTile < perTile; inTile++) {
      const token = tile * perTile + inTile;
      let to = target + <usize>(tile * groups) * groupSize;
      if (token >= tokens) {
        for (let g = 0; g < groups; g++) {
          if (quads) putZeros(to, perTile, inTile, 8);
          else putZeros(to, perTile, inTile, 16);
          to += groupSize;
        }
        continue;
      }
      let from = x + <usize>token * <usize>columns * 4;
      for (let g = 0; g < groups; g++) {
        quantizeGroup(from, to, <usize>perTile, <usize>inTile, quads);
        from += 128;
        to += groupSize;
      }
    }
  }
}

function putZeros(to: usize, perTile: i32, inTile: i32, words: i32): void {
  // The words of the columns, then scale, start value and sum: all are 4 bytes per token.
  for (let i = 0; i < words + 3; i++) store<u32>(to + 4 * <usize>(i * perTile + inTile), 0);
}

/**
 * Four columns as whole numbers, ties to even: a float32 of 1.5 * 2^23 to 2^24 has its units in the last bit, so that adding
 * 1.5 * 2^23 rounds. What is not finite becomes some number; the scale then says that it was not.
 */
@inline
function rounded(from: usize, inverse: v128): v128 {
  const shifted = f32x4.add(f32x4.mul(v128.load(from), inverse), f32x4.splat(12582912));
  return i32x4.sub(shifted, i32x4.splat(0x4b400000));
}

@inline
function magnitude(from: usize): v128 {
  return f32x4.abs(v128.load(from));
}

function quantizeGroup(from: usize, to: usize, perTile: usize, inTile: usize, quads: bool): void {
  // Magnitudes are compared as whole numbers: that is their order, one instruction where `f32x4.max` is seven, and a NaN, the
  // largest of all, reaches the scale, and from there the result.
  let even = magnitude(from), odd = magnitude(from + 16);
  for (let i: usize = 32; i < 128; i += 32) {
    even = i32x4.max_s(even, magnitude(from + i));
    odd = i32x4.max_s(odd, magnitude(from + i + 16));
  }
  even = i32x4.max_s(even, odd);
  even = i32x4.max_s(even, v128.shuffle<i32>(even, even, 2, 3, 0, 1));
  even = i32x4.max_s(even, v128.shuffle<i32>(even, even, 1, 0, 3, 2));
  const peak = f32x4.extract_lane(even, 0);
  const inverse = f32x4.splat(peak > 0 ? <f32>127 / peak : 0);
  const scale = peak / 127;
  const stride: usize = 4 * perTile;
  let words = to + 4 * inTile;
  let sums = i16x8.splat(0);
  for (let i: usize = 0; i < 4; i++) {
    const columns = i16x8.narrow_i32x4_s(rounded(from + 32 * i, inverse), rounded(from + 32 * i + 16, inverse));
    sums = i16x8.add(sums, columns);
    if (quads) {
      const bytes = i8x16.narrow_i16x8_s(columns, columns);
      v128.store_lane<u32>(words, bytes, 0);
      v128.store_lane<u32>(words + stride, bytes, 1);
      words += 2 * stride;
    } else {
      const pairs = v128.shuffle<i16>(columns, columns, 0, 2, 1, 3, 4, 6, 5, 7);
      v128.store_lane<u32>(words, pairs, 0);
      v128.store_lane<u32>(words + stride, pairs, 1);
      v128.store_lane<u32>(words + 2 * stride, pairs, 2);
      v128.store_lane<u32>(words + 3 * stride, pairs, 3);
      words += 4 * stride;
    }
  }
  // Lanes hold columns 0 to 7 of every eight: 0 and 1 are the first half of a quad, 2 and 3 the second, 4 to 7 likewise.
  const halves = i32x4.extadd_pairwise_i16x8_s(sums);
  const first = i32x4.extract_lane(halves, 0) + i32x4.extract_lane(halves, 2);
  const second = i32x4.extract_lane(halves, 1) + i32x4.extract_lane(halves, 3);
  store<f32>(words, scale);
  const start = quads ? ((-8 * first) & 0xffff) | ((-8 * second) << 16) : -8 * (first + second);
  store<i32>(words + stride, start);
  store<f32>(words + 2 * stride, <f32>(first + second) * scale);
}

/** Float32 activations of tiles of 4 tokens: per column four numbers. Arguments: x `[T, K]`, T, K, target. */
export function interleaveActivations(thread: i32, threads: i32): void {
  const x = pointer(0);
  const tokens = argument(1);
  const columns = argument(2);
  const target = pointer(3);
  const tiles = (tokens + 3) >> 2;
  const end = shareStart(tiles, thread + 1, threads);
  for (let tile = shareStart(tiles, thread, threads); tile < end; tile++) {
    for (let inTile = 0; inTile < 4; inTile++) {
      const token = tile * 4 + inTile;
      const from = x + <usize>token * <usize>columns * 4;
      const to = target + <usize>tile * <usize>columns * 16 + 4 * <usize>inTile;
      for (let i: usize = 0; i < <usize>columns; i++) {
        store<f32>(to + 16 * i, token < tokens ? load<f32>(from + 4 * i) : 0);
      }
    }
  }
}
