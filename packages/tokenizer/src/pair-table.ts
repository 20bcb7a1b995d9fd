import { tokenizerError } from './errors.ts';

/** Priorities are below this, so that a priority and a position fit into one float64 without loss. */
export const priorityLimit = 2 ** 24;

const probeLimit = 256;
const seeds = [0x9e3779b1, 0x85ebca6b, 0xc2b2ae35, 0x27d4eb2f];

/**
 * Which two neighbouring tokens merge, how soon, and into what: a hash table of integers with open addressing.
 *
 * Four numbers per slot: left id (−1 for a free slot), right id, priority (lower merges first), id of the result.
 */
export class PairTable {
  readonly slots: Int32Array;
  readonly #mask: number;
  readonly #seed: number;

  /**
   * @param functionName - for the message
   * @param pairs - left, right, priority, result, again and again
   * @throws Phi3Error `TK_MERGE` when a pair comes twice
   */
  constructor(functionName: string, pairs: Int32Array) {
    const count = pairs.length / 4;
    let capacity = 8;
    while (capacity < count * 2) capacity *= 2;
    this.#mask = capacity - 1;
    // The ids come from a file. Should they crowd into few slots, another multiplier spreads them.
    for (const seed of seeds) {
      const slots = fill(functionName, pairs, capacity, seed);
      if (slots !== undefined) {
        this.slots = slots;
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

  /** Index in {@link slots} of the pair, or −1 when the two do not merge. */
  find(left: number, right: number): number {
    const slots = this.slots;
    let slot = hashOf(left, right, this.#seed) & this.#mask;
    for (;;) {
      const stored = slots[slot * 4]!;
      if (stored === left && slots[slot * 4 + 1] === right) return slot * 4;
      if (stored === -1) return -1;
      slot = (slot + 1) & this.#mask;
    }
  }
}

function hashOf(left: number, right: number, seed: number): number {
  const mixed = Math.imul(Math.imul(left, seed) ^ right, 0x2c1b3c6d);
  return mixed ^ (mixed >>> 15);
}

function fill(functionName: string, pairs: Int32Array, capacity: number, seed: number): Int32Array | undefined {
  const slots = new Int32Array(capacity * 4);
  for (let i = 0; i < slots.length; i += 4) slots[i] = -1;
  for (let i = 0; i < pairs.length; i += 4) {
    let slot = hashOf(pairs[i]!, pairs[i + 1]!, seed) & (capacity - 1);
    let probes = 0;
    while (slots[slot * 4] !== -1) {
      if (slots[slot * 4] === pairs[i] && slots[slot * 4 + 1] === pairs[i + 1])
        throw tokenizerError({
          code: 'TK_MERGE',
          function: functionName,
          expected: 'every merge once',
          got: `the tokens ${pairs[i]} and ${pairs[i + 1]} again`,
          where: { key: `model.merges[${i / 4}]` },
        });
      if (++probes > probeLimit) return undefined;
      slot = (slot + 1) & (capacity - 1);
    }
    slots[slot * 4] = pairs[i]!;
    slots[slot * 4 + 1] = pairs[i + 1]!;
    slots[slot * 4 + 2] = pairs[i + 2]!;
    slots[slot * 4 + 3] = pairs[i + 3]!;
  }
  return slots;
}
