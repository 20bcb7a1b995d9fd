/** Random numbers of the factor search: the same on every machine, for whole numbers and additions only. */
export interface SeededRandom {
  /** A number from 0 up to but not with 1, with 32 random bits. */
  nextFloat(): number;
  /** A whole number from 0 to `limit - 1`. */
  nextInteger(limit: number): number;
  /** About normal, mean 0 and deviation 1: twelve uniform numbers less 6. No logarithm, whose last bits differ by engine. */
  nextNormal(): number;
}

/**
 * Creates the generator xoshiro128** 1.1, its state filled by the mixer of splitmix32 from both halves of the seed.
 *
 * Source: Blackman and Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 47(4), 2021.
 *
 * @param seed - a whole number from 0 to 2^53 - 1, checked by the caller
 */
export function createSeededRandom(seed: number): SeededRandom {
  let mixed = (seed >>> 0) ^ Math.imul(Math.floor(seed / 2 ** 32) + 1, 0x85ebca6b);
  const fill = (): number => {
    mixed = (mixed + 0x9e3779b9) | 0;
    let word = mixed ^ (mixed >>> 16);
    word = Math.imul(word, 0x21f0aaad);
    word ^= word >>> 15;
    word = Math.imul(word, 0x735a2d97);
    return word ^ (word >>> 15);
  };
  // The mixer gives 0 for one state only, so four in a row are never all zero, from which xoshiro would not leave.
  let s0 = fill();
  let s1 = fill();
  let s2 = fill();
  let s3 = fill();
  const nextUint32 = (): number => {
    const scrambled = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0;
    const shifted = s1 << 9;
    s2 ^= s0;
    s3 ^= s1;
    s1 ^= s2;
    s0 ^= s3;
    s2 ^= shifted;
    s3 = rotateLeft(s3, 11);
    return scrambled;
  };
  const nextFloat = (): number => nextUint32() / 4294967296;
  return {
    nextFloat,
    nextInteger: (limit) => Math.floor(nextFloat() * limit),
    nextNormal() {
      let sum = -6;
      for (let i = 0; i < 12; i++) sum += nextFloat();
      return sum;
    },
  };
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
