import { hashPair, type Merges } from './pair-table.ts';

const slotCount = 1 << 16;
const probeLimit = 4;

/**
 * {@link Merges} of a tiktoken vocabulary: two tokens merge when their bytes together are a token, whose rank is at once
 * merge, priority and result. Looked up when asked for and remembered in a table of fixed size, because the list of all
 * 233,378 pairs of cl100k takes longer to make than most texts to encode.
 */
export class RankMerges implements Merges {
  readonly priorities: Int32Array;
  readonly results: Int32Array;
  readonly #idOf: ReadonlyMap<string, number>;
  readonly #tokens: readonly string[];
  readonly #longestToken: number;
  /** Per slot left id (−1 for a free slot), right id, rank or −1. */
  readonly #slots = new Int32Array(slotCount * 3).fill(-1);

  /** @param tokens - by rank, one character per byte */
  constructor(idOf: ReadonlyMap<string, number>, tokens: readonly string[], longestToken: number) {
    this.#idOf = idOf;
    this.#tokens = tokens;
    this.#longestToken = longestToken;
    this.results = Int32Array.from(tokens, (_, id) => id);
    this.priorities = this.results;
  }

  find(left: number, right: number): number {
    const slots = this.#slots;
    const hash = hashPair(left, right);
    let place = (hash & (slotCount - 1)) * 3;
    for (let probe = 0; probe < probeLimit; probe++) {
      const slot = ((hash + probe) & (slotCount - 1)) * 3;
      if (slots[slot] === left && slots[slot + 1] === right) return slots[slot + 2]!;
      if (slots[slot] === -1) {
        place = slot;
        break;
      }
    }
    const leftToken = this.#tokens[left]!;
    const rightToken = this.#tokens[right]!;
    const rank =
      leftToken.length + rightToken.length > this.#longestToken ? -1 : (this.#idOf.get(leftToken + rightToken) ?? -1);
    slots[place] = left;
    slots[place + 1] = right;
    slots[place + 2] = rank;
    return rank;
  }
}
