// What a kernel sees. Kernels are plain functions here, so that they can be read, typed and tested; `scripts/build-kernels.mjs`
// turns them into the strings that gpu.js compiles, because a consumer's minifier would break them (gpujs/gpu.js issues 152 and
// 863). So each file stands alone: type imports only, no names from outside but arguments, `this.thread` and `this.constants`.
//
// What gpu.js asks of them: every number is a float32 in the end, so whole numbers must stay below 2^24; no `Infinity`, which
// it takes for the largest finite number; loops that count from a literal, since WGSL counts up whole numbers only and a
// variable is a float; and no two loops of a scope with the same counter.

/** A device array, read as `array[row][0][column]`. */
export type Numbers = readonly (readonly ArrayLike<number>[])[];

/** `this` of a kernel: it computes the element in column `thread.x` of row `thread.z`. */
export interface Kernel<Constants = unknown> {
  readonly thread: { readonly x: number; readonly y: number; readonly z: number };
  readonly constants: Constants;
}
