import { seesBlock } from '../attention';
import { CHUNK, chunkAddress, chunkSizeInBytes } from '../cache';
import { takePosition } from '../cache-read';
import { argument, floatArgument, pointer, progress, scratch } from '../control';
import { exponential } from './exponential';

// Streaming softmax (arXiv:2112.05682, §2) one position at a time: the largest score so far, the sum of exponentials and the
// weighted sum of values are carried along. A piece of work is one query head of one token.

/** What a thread needs: a key, a value and the sums of one head. */
export function attentionScratchSize(headDim: i32): usize {
  return 3 * 4 * <usize>headDim;
}

/** The arguments are those of `../attention`. */
export function attention(thread: i32, threads: i32): void {
  const tokens = argument(2);
  const heads = argument(3);
  // Pieces are dealt out in turn: later tokens see more keys, and every thread gets its part of these.
  for (let piece = thread; piece < tokens * heads; piece += threads) {
    attend(thread, piece / heads, piece % heads);
    progress(thread);
  }
}

function attend(thread: i32, token: i32, head: i32): void {
  const heads = argument(3);
  const keyHeads = argument(4);
  const headDim = <usize>argument(5);
  const pages = pointer(6);
  const format = argument(7);
  const position = argument(8) + token;
  const scale = floatArgument(9);
  const isCausal = argument(10) != 0;
  const window = argument(12);
  const isSparse = argument(13) > 0;
  const half = <usize>argument(19);

  const keyHead = head / (heads / keyHeads);
  const chunkSize = chunkSizeInBytes(format, <i32>headDim);
  const at: usize = 4 * <usize>(token * heads + head) * headDim;
  const query = pointer(0) + at;
  const key = scratch(thread);
  const value = key + 4 * headDim;
  const sums = value + 4 * headDim;
  memory.fill(sums, 0, 4 * headDim);
  let largest: f32 = -Infinity;
  let total: f32 = 0;
  const end = isCausal ? position + 1 : argument(11);
  for (let other = window > 0 ? max(0, position + 1 - window) : 0; other < end; other++) {
    if (isSparse && !seesBlock(position, other, head)) continue;
    const chunk = chunkAddress(pages, other / CHUNK, keyHead, chunkSize);
    takePosition(format, chunk, <usize>(other % CHUNK), headDim, key, value);
    if (half > 0) rotateKey(key, half, pointer(17) + 4 * <usize>other * half, pointer(18) + 4 * <usize>other * half);
    let score: f32 = 0;
    for (let i: usize = 0; i < headDim; i++) score = load<f32>(query + 4 * i) * load<f32>(key + 4 * i) + score;
    score *= scale;
    // Not `score <= largest`: like this a NaN becomes the largest and reaches the result.
    if (!(score <= largest)) {
      const correction: f32 = largest == -Infinity ? 0 : exponential(largest - score);
      for (let i: usize = 0; i < headDim; i++) store<f32>(sums + 4 * i, load<f32>(sums + 4 * i) * correction);
      total *= correction;
      largest = score;
    }
    if (largest == -Infinity) continue;
    const weight = exponential(score - largest);
    total += weight;
    for (let i: usize = 0; i < headDim; i++) {
      store<f32>(sums + 4 * i, weight * load<f32>(value + 4 * i) + load<f32>(sums + 4 * i));
    }
  }
  const to = pointer(1) + at;
  for (let i: usize = 0; i < headDim; i++) store<f32>(to + 4 * i, load<f32>(sums + 4 * i) / total);
}

/** Rotates a key in place; component i turns with component i + half. */
function rotateKey(key: usize, half: usize, cosines: usize, sines: usize): void {
  for (let i: usize = 0; i < half; i++) {
    const a = load<f32>(key + 4 * i);
    const b = load<f32>(key + 4 * (i + half));
    const c = load<f32>(cosines + 4 * i);
    const s = load<f32>(sines + 4 * i);
    store<f32>(key + 4 * i, a * c - b * s);
    store<f32>(key + 4 * (i + half), b * c + a * s);
  }
}
