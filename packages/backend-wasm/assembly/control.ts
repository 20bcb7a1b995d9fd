// The first 16 KiB of the memory: what threads tell each other, constants, and the job that all of them run.
//
// A job is an operation and its arguments. Every thread runs the same job on its share of the work. Results do not depend on
// how many threads there are: a share is a set of whole rows or heads, each computed the same way by whoever has it. Shares are
// fixed for short jobs. Long ones leave the last pieces to whoever is free first, because threads are never equally fast.

/** Counts jobs. A worker waits for it to change. */
const GENERATION: usize = 0;
/** Workers that have finished the present job. Apart from the counter above, so that the two do not share a cache line. */
const DONE: usize = 64;
/** Where the scratch memory of thread 0 starts, and how much each thread has. */
const SCRATCH_START: usize = 128;
const SCRATCH_SIZE: usize = 132;
/**
 * Workers asleep until the next job, and whether the main thread sleeps until the last worker is done. Engines take a lock to
 * wake somebody even when nobody sleeps, so that is asked first. No wake-up is lost: whoever goes to sleep says so before
 * `atomic.wait` compares the counter that whoever wakes has changed before asking.
 */
const SLEEPERS: usize = 136;
const MAIN_SLEEPS: usize = 140;
/** Raised by a job that met something it cannot represent; the main thread clears it before. */
const WARNING: usize = 192;
/** Every worker counts finished pieces of work here, 64 bytes apart: a lost worker's count stands still. */
const PROGRESS: usize = 256;

const CONSTANTS: usize = 8192;
export const LOW_NIBBLES: usize = CONSTANTS; // 16 × 0x0f
export const LOW_NIBBLES_16: usize = CONSTANTS + 16; // 8 × 0x000f
export const ONES_16: usize = CONSTANTS + 32; // 8 × 1
export const HIGH_HALVES: usize = CONSTANTS + 48; // 4 × 0xffff0000
export const FLOAT16_BITS: usize = CONSTANTS + 64; // 4 × 0x8fffe000
export const TWO_TO_96: usize = CONSTANTS + 80; // 4 × 2^96
export const TWO_TO_112: usize = CONSTANTS + 96; // 4 × 2^112
export const EXPONENTIAL: usize = CONSTANTS + 112; // 11 vectors, which `softmax.ts` explains
export const EXPONENTIAL_E: usize = EXPONENTIAL + 176; // 12 vectors of `exp4` in `vector.ts`

const JOB: usize = 12288;
/** A worker that finds this operation leaves its loop. */
export const STOP: i32 = -1;

/**
 * Writes the vector constants that kernels load. V8 rebuilds a `v128.const` from scalar registers at every use, which costs
 * the 4-bit kernel a third of its speed; a load from memory is free there.
 */
export function initialize(scratchStart: usize, scratchSize: usize): void {
  store<u32>(SCRATCH_START, <u32>scratchStart);
  store<u32>(SCRATCH_SIZE, <u32>scratchSize);
  for (let i: usize = 0; i < 16; i++) store<u8>(LOW_NIBBLES + i, 0x0f);
  for (let i: usize = 0; i < 8; i++) {
    store<u16>(LOW_NIBBLES_16 + 2 * i, 0x000f);
    store<u16>(ONES_16 + 2 * i, 1);
  }
  for (let i: usize = 0; i < 4; i++) {
    store<u32>(HIGH_HALVES + 4 * i, 0xffff0000);
    store<u32>(FLOAT16_BITS + 4 * i, 0x8fffe000);
    store<u32>(TWO_TO_96 + 4 * i, 0x6f800000);
    store<u32>(TWO_TO_112 + 4 * i, 0x77800000);
  }
  fourTimes(EXPONENTIAL, -127);
  fourTimes(EXPONENTIAL + 16, 12582912 + 127);
  fourTimes(EXPONENTIAL + 32, -223);
  fourTimes(EXPONENTIAL + 48, 12582912 + 223);
  fourTimes(EXPONENTIAL + 64, 0.00015345810000679056);
  fourTimes(EXPONENTIAL + 80, 0.0013399931202934098);
  fourTimes(EXPONENTIAL + 96, 0.009618488964554873);
  fourTimes(EXPONENTIAL + 112, 0.055503287770156784);
  fourTimes(EXPONENTIAL + 128, 0.24022646890565444);
  fourTimes(EXPONENTIAL + 144, 0.6931472057372355);
  fourTimes(EXPONENTIAL + 160, 1);
  fourTimes(EXPONENTIAL_E, -88);
  fourTimes(EXPONENTIAL_E + 16, 88);
  fourTimes(EXPONENTIAL_E + 32, 1.4426950408889634);
  fourTimes(EXPONENTIAL_E + 48, -0.693359375);
  fourTimes(EXPONENTIAL_E + 64, 2.1219444e-4);
  fourTimes(EXPONENTIAL_E + 80, 1.0 / 5040.0);
  fourTimes(EXPONENTIAL_E + 96, 1.0 / 720.0);
  fourTimes(EXPONENTIAL_E + 112, 1.0 / 120.0);
  fourTimes(EXPONENTIAL_E + 128, 1.0 / 24.0);
  fourTimes(EXPONENTIAL_E + 144, 1.0 / 6.0);
  fourTimes(EXPONENTIAL_E + 160, 0.5);
  fourTimes(EXPONENTIAL_E + 176, 1);
}

function fourTimes(to: usize, value: f32): void {
  for (let i: usize = 0; i < 16; i += 4) store<f32>(to + i, value);
}

/** Where the arguments of the next job go: the operation, then its arguments, 4 bytes each. */
export function jobAddress(): usize {
  return JOB;
}

@inline
export function operation(): i32 {
  return load<i32>(JOB);
}

@inline
export function argument(index: i32): i32 {
  return load<i32>(JOB + 4 * (1 + index));
}

@inline
export function pointer(index: i32): usize {
  return <usize>load<u32>(JOB + 4 * (1 + index));
}

@inline
export function floatArgument(index: i32): f32 {
  return load<f32>(JOB + 4 * (1 + index));
}

/** A number that no other thread gets: 0, 1, 2, … in every job, whose argument `index` is 0 when it starts. */
@inline
export function takePiece(index: i32): i32 {
  return atomic.add<i32>(JOB + 4 * (1 + index), 1);
}

/** Argument `index`, which is 0 when a job starts and which its threads may change. */
@inline
export function counter(index: i32): i32 {
  return atomic.load<i32>(JOB + 4 * (1 + index));
}

/** Changes that argument from `seen` to `next`; false when another thread has changed it before. */
@inline
export function exchangeCounter(index: i32, seen: i32, next: i32): bool {
  return atomic.cmpxchg<i32>(JOB + 4 * (1 + index), seen, next) == seen;
}

/** Memory of this thread alone, lost at the end of the job. */
export function scratch(thread: i32): usize {
  return <usize>load<u32>(SCRATCH_START) + <usize>load<u32>(SCRATCH_SIZE) * thread;
}

/** The first of `count` pieces that is this thread's; the share ends where the next thread's starts. */
export function shareStart(count: i32, thread: i32, threads: i32): i32 {
  return <i32>((<i64>count * thread) / threads);
}

/** Raises the flag that `takeWarning` reads. */
export function warn(): void {
  atomic.store<i32>(WARNING, 1);
}

/** Whether a job has warned since the last call. */
export function takeWarning(): i32 {
  const raised = atomic.load<i32>(WARNING);
  atomic.store<i32>(WARNING, 0);
  return raised;
}

/** Tells the main thread that this worker is alive. Not atomic: that would wait for all memory writes, thousands of times. */
export function progress(thread: i32): void {
  const counter = PROGRESS + 64 * thread;
  store<i32>(counter, load<i32>(counter) + 1);
}

/** What a worker has counted so far. */
export function progressOf(thread: i32): i32 {
  return atomic.load<i32>(PROGRESS + 64 * thread);
}

export function generation(): i32 {
  return atomic.load<i32>(GENERATION);
}

/** Lets the workers start on the job that lies in memory. */
export function announce(): void {
  atomic.store<i32>(DONE, 0);
  atomic.add<i32>(GENERATION, 1);
  if (atomic.load<i32>(SLEEPERS) > 0) atomic.notify(GENERATION, -1);
}

/** Waits until a job other than `seen` is announced; spins first, because the next operation usually comes in microseconds. */
export function awaitJob(seen: i32, spins: i32): i32 {
  for (let i = 0; i < spins; i++) {
    const now = atomic.load<i32>(GENERATION);
    if (now != seen) return now;
  }
  atomic.add<i32>(SLEEPERS, 1);
  while (atomic.load<i32>(GENERATION) == seen) atomic.wait<i32>(GENERATION, seen, -1);
  atomic.sub<i32>(SLEEPERS, 1);
  return atomic.load<i32>(GENERATION);
}

/** A worker has finished its share. */
export function finish(workers: i32): void {
  if (atomic.add<i32>(DONE, 1) + 1 == workers && atomic.load<i32>(MAIN_SLEEPS) > 0) atomic.notify(DONE, 1);
}

/**
 * Waits for all workers, at most about `milliseconds` once it stops spinning.
 *
 * @param mayBlock - false on a browser's main thread, where `atomic.wait` traps: there it spins on
 * @returns 1 when all have finished
 */
export function awaitWorkers(workers: i32, spins: i32, mayBlock: i32, milliseconds: i32): i32 {
  for (let i = 0; i < spins; i++) if (atomic.load<i32>(DONE) == workers) return 1;
  if (!mayBlock) return 0;
  atomic.store<i32>(MAIN_SLEEPS, 1);
  const done = atomic.load<i32>(DONE);
  // Wakes for the last worker only; between two workers it may sleep through until the time is over.
  if (done != workers) atomic.wait<i32>(DONE, done, <i64>milliseconds * 1000000);
  atomic.store<i32>(MAIN_SLEEPS, 0);
  return atomic.load<i32>(DONE) == workers ? 1 : 0;
}
