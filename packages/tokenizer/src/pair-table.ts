import { tokenizerError } from './errors.ts';

/** Priorities are below this, so that a priority and a position fit into one float64 without loss. */
export const priorityLimit = 2 ** 24;

/** Which two neighbouring tokens merge. A merge is a number; two arrays say how soon it comes and what it gives. */
export interface Merges {
  /** The merge of two tokens, or −1. */
  find(left: number, right: number): number;
  /** By merge; lower ones come first. */
  readonly priorities: Int32Array;
  /** By merge: id of the token that the two become. */
  readonly results: Int32Array;
}

/** A list of merges: left id, right id, priority, result, again and again. */
export type MergeList = Int32Array<ArrayBuffer>;

const probeLimit = 256;
const seeds = [0x9e3779b1, 0x85ebca6b, 0xc2b2ae35, 0x27d4eb2f];

/** {@link Merges} from a list, in a hash table of integers with open addressing. */
export class PairTable implements Merges {
  readonly priorities: Int32Array;
  readonly results: Int32Array;
  /** Per slot left id (−1 for a free slot), right id, merge. */
  readonly #slots: Int32Array;
  readonly #mask: number;
  readonly #seed: number;

  /**
   * @param functionName - for the message
   * @throws Phi3Error `TK_MERGE` when a pair comes twice
   */
  constructor(functionName: string, list: MergeList) {
    const count = list.length / 4;
    this.priorities = new Int32Array(count);
    this.results = new Int32Array(count);
    for (let merge = 0; merge < count; merge++) {
      this.priorities[merge] = list[merge * 4 + 2]!;
      this.results[merge] = list[merge * 4 + 3]!;
    }
    let capacity = 8;
    while (capacity < count * 2) capacity *= 2;
    this.#mask = capacity - 1;
    // The ids come from a file. Should they crowd into few slots, another multiplier spreads them.
    for (const seed of seeds) {
      const slots = fill(functionName, list, capacity, seed);
      if (slots !== undefined) {
        this.#slots = slots;
        this.#seed = seed;
        return;
      }
    }
    throw tokenizerError({
      code: 'TK_MERGE',
      function: functionName,
      expected: 'merges whose token ids spread over a hash table',
      hint: 'The file was made to slow its reader down.',
    });
  }

  find(left: number, right: number): number {
    const slots = this.#slots;
    let slot = hashPair(left, right, this.#seed) & this.#mask;
    for (;;) {
      const stored = slots[slot * 3]!;
      if (stored === left && slots[slot * 3 + 1] === right) return slots[slot * 3 + 2]!;
      if (stored === -1) return -1;
      slot = (slot + 1) & this.#mask;
    }
  }
}

export function hashPair(left: number, right: number, seed = seeds[0]!): number {
  const mixed = Math.imul(Math.imul(left, seed) ^ right, 0x2c1b3c6d);
  return mixed ^ (mixed >>> 15);
}

function fill(functionName: string, list: MergeList, capacity: number, seed: number): Int32Array | undefined {
  const slots = new Int32Array(capacity * 3).fill(-1);
  for (let merge = 0; merge * 4 < list.length; merge++) {
    const left = list[merge * 4]!;
    const right = list[merge * 4 + 1]!;
    let slot = hashPair(left, right, seed) & (capacity - 1);
    let probes = 0;
    while (slots[slot * 3] !== -1) {
      if (slots[slot * 3] === left && slots[slot * 3 + 1] === right)
        throw tokenizerError({
          code: 'TK_MERGE',
          function: functionName,
          expected: 'every merge once',
          got: `the tokens ${left} and ${right} again`,
          where: { key: `model.merges[${merge}]` },
        });
      if (++probes > probeLimit) return undefined;
      slot = (slot + 1) & (capacity - 1);
    }
    slots[slot * 3] = left;
    slots[slot * 3 + 1] = right;
    slots[slot * 3 + 2] = merge;
  }
  return slots;
}
