import { createRandom } from '@phiblocks/sampler';

/** Random choices that are the same on every machine. */
export interface TaskRandom {
  /** A whole number from `least` to `most`, both possible. */
  integer(least: number, most: number): number;
  pick<Item>(items: readonly Item[]): Item;
  /** A new array in random order. */
  shuffled<Item>(items: readonly Item[]): Item[];
  /** `count` different items, in random order. */
  sample<Item>(items: readonly Item[], count: number): Item[];
}

/**
 * The random numbers of one sample: from the seed and what the sample is, so that it does not depend on which others were
 * made before it.
 */
export function randomOf(seed: number, ...parts: readonly (string | number)[]): TaskRandom {
  const random = createRandom(hash53(`${seed}/${parts.join('/')}`));
  const integer = (least: number, most: number): number => least + Math.floor(random.nextFloat() * (most - least + 1));
  const shuffled = <Item>(items: readonly Item[]): Item[] => {
    const out = [...items];
    for (let i = out.length - 1; i > 0; i--) {
      const j = integer(0, i);
      [out[i], out[j]] = [out[j]!, out[i]!];
    }
    return out;
  };
  return {
    integer,
    pick: (items) => items[integer(0, items.length - 1)]!,
    shuffled,
    sample: (items, count) => shuffled(items).slice(0, count),
  };
}

/** FNV-1a twice, with two bases: 53 bits. */
function hash53(text: string): number {
  let low = 0x811c9dc5;
  let high = 0x1000193;
  for (let i = 0; i < text.length; i++) {
    low = Math.imul(low ^ text.charCodeAt(i), 0x01000193);
    high = Math.imul(high ^ text.charCodeAt(i), 0x01000197);
  }
  return ((high >>> 0) & 0x1fffff) * 4294967296 + (low >>> 0);
}
