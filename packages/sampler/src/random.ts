import { ArgumentError } from '@phiblocks/tensor';
import { expectWholeNumber } from './checks.ts';

/** The whole state of a generator: four whole numbers below 2^32, not all zero. Plain data, safe in JSON. */
export type RandomState = readonly [number, number, number, number];

/** A generator of random numbers that can be saved and taken up again. */
export interface Random {
  /** A whole number from 0 to 2^32 - 1. */
  nextUint32(): number;
  /** A number from 0 up to but not with 1, with 53 random bits. Takes two numbers of 32 bits. */
  nextFloat(): number;
  saveState(): RandomState;
  /** @throws ArgumentError `ARGUMENT` for anything that is no state */
  restoreState(state: RandomState): void;
}

/**
 * Creates the generator xoshiro128** 1.1, its 128 bits of state filled by splitmix64 from the seed. The same seed gives the
 * same numbers on every machine. Not for secrets.
 *
 * Source: Blackman and Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 47(4), 2021; their public
 * domain code xoshiro128starstar.c and splitmix64.c.
 *
 * @param seed - a whole number from 0 to 2^53 - 1
 * @throws ArgumentError `ARGUMENT` for any other seed
 * @example
 * const random = createRandom(42);
 * const state = random.saveState();
 * const first = random.nextFloat();
 * random.restoreState(state);
 * random.nextFloat() === first; // => true
 */
export function createRandom(seed: number): Random {
  expectWholeNumber('createRandom', 'seed', seed);
  const low = splitmix64(BigInt(seed), 1n);
  const high = splitmix64(BigInt(seed), 2n);
  // splitmix64 never gives 0 for two steps in a row, so the state is never all zero.
  let s0 = Number(low & 0xffffffffn);
  let s1 = Number(low >> 32n);
  let s2 = Number(high & 0xffffffffn);
  let s3 = Number(high >> 32n);

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
  return {
    nextUint32,
    nextFloat: () => ((nextUint32() >>> 5) * 67108864 + (nextUint32() >>> 6)) / 9007199254740992,
    saveState: () => [s0 >>> 0, s1 >>> 0, s2 >>> 0, s3 >>> 0],
    restoreState(state) {
      expectRandomState('restoreState', 'state', state);
      [s0, s1, s2, s3] = state;
    },
  };
}

/** Throws unless the value is a state that a generator can continue from. */
export function expectRandomState(functionName: string, argument: string, state: unknown): void {
  const isState =
    Array.isArray(state) &&
    state.length === 4 &&
    state.every((word) => Number.isInteger(word) && word >= 0 && word < 4294967296) &&
    // From all zeros the generator never leaves them.
    state.some((word) => word !== 0);
  if (!isState) {
    throw new ArgumentError({
      function: functionName,
      argument,
      expected: 'four whole numbers below 2^32, not all zero',
      got: state,
    });
  }
}

/** A seed from the platform's source of randomness, 53 bits. */
export function drawSeed(): number {
  const words = crypto.getRandomValues(new Uint32Array(2));
  return (words[0]! >>> 11) * 4294967296 + words[1]!;
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

/** The number that splitmix64 gives at its `step`-th call after seeding. */
function splitmix64(seed: bigint, step: bigint): bigint {
  let z = BigInt.asUintN(64, seed + step * 0x9e3779b97f4a7c15n);
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return z ^ (z >> 31n);
}
