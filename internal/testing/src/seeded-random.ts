/** A seeded source of numbers for tests: the same seed gives the same numbers on every machine. */
export interface SeededRandom {
  /** Uniform in [0, 1). */
  uniform(): number;
  /** Standard normal (Box-Muller). */
  normal(): number;
  /** Whole number in [0, limit). */
  integer(limit: number): number;
  /** `length` normal numbers times `scale`, rounded to float32. */
  normals(length: number, scale?: number): Float32Array;
}

/** Creates a {@link SeededRandom} (mulberry32: 32 bits of state, enough for test data). */
export function createSeededRandom(seed: number): SeededRandom {
  let state = seed >>> 0;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return {
    uniform,
    normal,
    integer: (limit) => Math.floor(uniform() * limit),
    normals: (length, scale = 1) => Float32Array.from({ length }, () => normal() * scale),
  };
}
