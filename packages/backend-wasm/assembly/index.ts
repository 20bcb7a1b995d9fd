import { attention } from './attention';
import { appendToCache } from './cache';
import { readCache } from './cache-read';
import { argument, awaitJob, finish, operation, pointer, shareStart, STOP } from './control';
import {
  activation, add, addWeightedRows, copyColumns, gatedActivation, multiply, rotate,
} from './elementwise';
import { embed, linear } from './linear';
import { layerNorm, rmsNorm } from './norms';
import { pack } from './pack';
import { interleaveActivations, quantizeActivations } from './quantize-activations';

export { announce, awaitWorkers, generation, initialize, jobAddress, progressOf, takeWarning } from './control';
export { attentionScratchSize } from './attention';
export { chunkSizeInBytes } from './cache';
export { rowsSizeInBytes } from './layouts';

/** Runs this thread's share of the job that lies in another memory (`src/memory-bank.ts`). */
@external('env', 'runElsewhere')
declare function runElsewhere(bank: i32, thread: i32, threads: i32): void;

/** Runs this thread's share of the job in memory. The numbers are those of `src/operations.ts`. */
export function runJob(thread: i32, threads: i32): void {
  switch (operation()) {
    case 0:
      return pack(thread, threads);
    case 1:
      return quantizeActivations(thread, threads);
    case 2:
      return interleaveActivations(thread, threads);
    case 3:
      return linear(thread, threads);
    case 4:
      return embed(thread, threads);
    case 5:
      return rmsNorm(thread, threads);
    case 6:
      return layerNorm(thread, threads);
    case 7:
      return add(thread, threads);
    case 8:
      return multiply(thread, threads);
    case 9:
      return copyColumns(thread, threads);
    case 10:
      return rotate(thread, threads);
    case 11:
      return appendToCache(thread, threads);
    case 12:
      return attention(thread, threads);
    case 13:
      return gatedActivation(thread, threads);
    case 14:
      return activation(thread, threads);
    case 15:
      return addWeightedRows(thread, threads);
    case 16:
      return stream(thread, threads);
    case 17:
      return runElsewhere(argument(0), thread, threads);
    case 18:
      return readCache(thread, threads);
  }
}

/** What a worker does until it is told to stop. `seen` is the count of jobs when it was started. */
export function work(thread: i32, threads: i32, seen: i32, spins: i32): void {
  while (true) {
    seen = awaitJob(seen, spins);
    if (operation() == STOP) return;
    runJob(thread, threads);
    finish(threads - 1);
  }
}

/** Reads memory and does next to nothing with it: what the bandwidth is measured with. Arguments: start, size, target. */
function stream(thread: i32, threads: i32): void {
  const start = pointer(0);
  const lines = argument(1) >> 6;
  const end = start + 64 * <usize>shareStart(lines, thread + 1, threads);
  let a = i64x2.splat(0), b = a, c = a, d = a;
  for (let at = start + 64 * <usize>shareStart(lines, thread, threads); at < end; at += 64) {
    a = v128.xor(a, v128.load(at));
    b = v128.xor(b, v128.load(at, 16));
    c = v128.xor(c, v128.load(at, 32));
    d = v128.xor(d, v128.load(at, 48));
  }
  const all = v128.xor(v128.xor(a, b), v128.xor(c, d));
  store<i64>(pointer(2) + 8 * <usize>thread, i64x2.extract_lane(all, 0) ^ i64x2.extract_lane(all, 1));
}
