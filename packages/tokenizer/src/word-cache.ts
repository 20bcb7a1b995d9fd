import type { IdBuffer } from './id-buffer.ts';

const slotCount = 1 << 17;
const entryLimit = 1 << 16;
const unitLimit = 1 << 20;
const idLimit = 1 << 19;
// An attacker can choose words that share a slot, so a search gives up after a few steps and the newcomer takes over the
// first slot: the worst text makes the cache useless, never slow.
const probeLimit = 8;

/** Longer words are not worth remembering. */
export const longestCachedWord = 64;

/**
 * Remembers the ids of words, keyed by their UTF-16 code units. No strings are made and no names become object keys; when
 * it is full it forgets everything. At most about 6 MiB.
 */
export class WordCache {
  readonly #slots = new Int32Array(slotCount);
  /** Per entry: hash, start of its units, number of units, start of its ids, number of ids. */
  readonly #entries = new Int32Array(entryLimit * 5);
  readonly #units = new Uint16Array(unitLimit);
  readonly #ids = new Int32Array(idLimit);
  #entryCount = 0;
  #unitCount = 0;
  #idCount = 0;
  #hash = 0;

  /** Appends the ids of the word `text[start, end)` when it is known. */
  emit(text: string, start: number, end: number, out: IdBuffer): boolean {
    const slots = this.#slots;
    const entries = this.#entries;
    const length = end - start;
    let hash = length;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    hash ^= hash >>> 15;
    this.#hash = hash;
    for (let probe = 0; probe < probeLimit; probe++) {
      const slot = slots[(hash + probe) & (slotCount - 1)]!;
      if (slot === 0) return false;
      const entry = (slot - 1) * 5;
      if (entries[entry] === hash && entries[entry + 2] === length) {
        const units = this.#units;
        const unitStart = entries[entry + 1]!;
        let i = 0;
        while (i < length && units[unitStart + i] === text.charCodeAt(start + i)) i++;
        if (i === length) {
          const idStart = entries[entry + 3]!;
          const idCount = entries[entry + 4]!;
          out.reserve(idCount);
          const ids = this.#ids;
          const data = out.data;
          let at = out.length;
          for (let k = idStart; k < idStart + idCount; k++) data[at++] = ids[k]!;
          out.length = at;
          return true;
        }
      }
    }
    return false;
  }

  /** Remembers the word that the last {@link emit} did not know: its ids are those in `out` from `firstId` on. */
  remember(text: string, start: number, end: number, out: IdBuffer, firstId: number): void {
    const length = end - start;
    const idCount = out.length - firstId;
    if (this.#entryCount === entryLimit || this.#unitCount + length > unitLimit || this.#idCount + idCount > idLimit) {
      this.#slots.fill(0);
      this.#entryCount = this.#unitCount = this.#idCount = 0;
    }
    const hash = this.#hash;
    let place = hash & (slotCount - 1);
    for (let probe = 0; probe < probeLimit; probe++) {
      const candidate = (hash + probe) & (slotCount - 1);
      if (this.#slots[candidate] === 0) {
        place = candidate;
        break;
      }
    }
    this.#entries.set([hash, this.#unitCount, length, this.#idCount, idCount], this.#entryCount * 5);
    this.#slots[place] = ++this.#entryCount;
    for (let i = start; i < end; i++) this.#units[this.#unitCount++] = text.charCodeAt(i);
    for (let k = firstId; k < out.length; k++) this.#ids[this.#idCount++] = out.data[k]!;
  }
}
