import { argument, pointer, shareStart } from '../control';
import { groupSizeInBytes } from '../quantize-activations';

// Activations in pairs of int16, as `../quantize-activations` lays them out for plain SIMD.

const SCALE: usize = 16;
const START: usize = 17;
const SUM: usize = 18;

/** Where word `word` of a token lies in its group. */
@inline
function wordOf(group: usize, word: usize, perTile: usize, inTile: usize): usize {
  return group + 4 * (word * perTile + inTile);
}

/** The int8 of a column. Pairs are columns (4j, 4j+2), then (4j+1, 4j+3). */
@inline
export function columnOf(group: usize, column: usize, perTile: usize, inTile: usize): usize {
  return wordOf(group, 2 * (column >> 2) + (column & 1), perTile, inTile) + (column & 2);
}

@inline
export function scaleOf(group: usize, perTile: usize, inTile: usize): f32 {
  return load<f32>(wordOf(group, SCALE, perTile, inTile));
}

/** The sum of the columns times the scale. */
@inline
export function scaledSumOf(group: usize, perTile: usize, inTile: usize): f32 {
  return load<f32>(wordOf(group, SUM, perTile, inTile));
}

/** Arguments: x `[T, K]`, T, K (a multiple of 32), target, tokens per tile, 0 for pairs. */
export function quantizeActivations(thread: i32, threads: i32): void {
  const x = pointer(0);
  const tokens = argument(1);
  const columns = argument(2);
  const target = pointer(3);
  const perTile = argument(4);
  const groups = columns >> 5;
  const groupSize = groupSizeInBytes(perTile, false);
  const tiles = (tokens + perTile - 1) / perTile;
  const end = shareStart(tiles, thread + 1, threads);
  for (let tile = shareStart(tiles, thread, threads); tile < end; tile++) {
    let to = target + <usize>(tile * groups) * groupSize;
    for (let g = 0; g < groups; g++) {
      memory.fill(to, 0, groupSize); // tokens beyond T are zero
      for (let inTile = 0; inTile < perTile; inTile++) {
        const token = tile * perTile + inTile;
        if (token >= tokens) break;
        quantizeGroup(x + 4 * (<usize>token * <usize>columns + 32 * <usize>g), to, <usize>perTile, <usize>inTile);
      }
      to += groupSize;
    }
  }
}

function quantizeGroup(from: usize, to: usize, perTile: usize, inTile: usize): void {
  let peak: f32 = 0;
  for (let i: usize = 0; i < 128; i += 4) {
    const magnitude = abs(load<f32>(from + i));
    // A NaN wins and stays, so that it reaches the scale, and from there the result.
    if (magnitude > peak || magnitude != magnitude) peak = magnitude;
    if (peak != peak) break;
  }
  const inverse: f32 = peak > 0 ? <f32>127 / peak : 0;
  const scale: f32 = peak / 127;
  let sum = 0;
  for (let column: usize = 0; column < 32; column++) {
    const quantized = <i32>nearest<f32>(load<f32>(from + 4 * column) * inverse);
    store<i16>(columnOf(to, column, perTile, inTile), <i16>quantized);
    sum += quantized;
  }
  store<f32>(wordOf(to, SCALE, perTile, inTile), scale);
  store<i32>(wordOf(to, START, perTile, inTile), -8 * sum);
  store<f32>(wordOf(to, SUM, perTile, inTile), <f32>sum * scale);
}
