/** Messages that were not acted upon, since the connection began. */
export interface IgnoredMessages {
  /** No message of this protocol, or an answer to nothing that was asked. */
  readonly unknown: number;
  /** A message that came a second time. */
  readonly duplicate: number;
}

/** So many messages may be missing in front of one that came early; a number further ahead is no sequence number. */
const largestGap = 1024;

/** Tells messages that come for the first time from others, in whatever order they come. */
export class SequenceFilter {
  #highest = 0;
  readonly #missing = new Set<number>();
  #unknown = 0;
  #duplicate = 0;

  get ignored(): IgnoredMessages {
    return { unknown: this.#unknown, duplicate: this.#duplicate };
  }

  /** True for a number that comes for the first time; otherwise the message is counted as ignored. */
  accept(sequence: number): boolean {
    if (sequence > this.#highest) {
      if (sequence - this.#highest > largestGap) return this.ignoreUnknown();
      for (let missing = this.#highest + 1; missing < sequence; missing++) this.#missing.add(missing);
      this.#highest = sequence;
      return true;
    }
    if (this.#missing.delete(sequence)) return true;
    this.#duplicate++;
    return false;
  }

  ignoreUnknown(): false {
    this.#unknown++;
    return false;
  }
}
