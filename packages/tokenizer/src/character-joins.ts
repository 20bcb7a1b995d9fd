/** With more distinct characters in merges than this the exact table would be large; see {@link CharacterJoins}. */
const tableLimit = 2048;

/** Index of the space in {@link CharacterJoins}. */
const spaceIndex = 1;

/**
 * Which two neighbouring characters can ever end up in one token.
 *
 * A token that spans a boundary between characters `x` and `y` was made by a merge whose result contains `xy`. So where no
 * merge result contains `xy`, no merge ever crosses, the parts on both sides merge exactly as they would alone, and the
 * text may be cut there. In Phi-3's vocabulary this cuts before every word, between digits and around every CJK
 * character, and makes remembering words exact although the tokenizer itself has no pre-tokenizer.
 *
 * U+2581 and the space count as one character, because the first stands for the second.
 */
export class CharacterJoins {
  /** Row and column of a UTF-16 code unit; 0 for one that joins with nothing. */
  readonly indexes = new Uint16Array(0x10000);
  readonly #astralIndexes = new Map<number, number>();
  /** `joins[row * size + column]` is 1 where the two may join. Row and column 0 are empty. */
  readonly joins: Uint8Array;
  readonly size: number;

  constructor(mergeResults: Iterable<string>) {
    const characters = new Set<number>();
    const bigrams = new Set<number>();
    for (const result of mergeResults) {
      let previous = -1;
      for (const character of result) {
        const codePoint = withoutMetaspace(character.codePointAt(0)!);
        characters.add(codePoint);
        if (previous >= 0) bigrams.add(previous * 0x110000 + codePoint);
        previous = codePoint;
      }
    }
    characters.delete(0x20);
    // Too many characters for a table: let every one of them share a row, so that all may join. That cuts less often than
    // it could, which costs time and never changes a result.
    const coarse = characters.size > tableLimit;
    this.size = coarse ? 2 : characters.size + 2;
    this.indexes[0x20] = this.indexes[0x2581] = spaceIndex;
    let index = spaceIndex;
    for (const codePoint of [...characters].sort((a, b) => a - b)) {
      if (!coarse) index++;
      if (codePoint > 0xffff) this.#astralIndexes.set(codePoint, index);
      else this.indexes[codePoint] = index;
    }
    this.joins = new Uint8Array(this.size * this.size);
    for (const bigram of bigrams) {
      const first = Math.floor(bigram / 0x110000);
      this.joins[this.indexOf(first) * this.size + this.indexOf(bigram - first * 0x110000)] = 1;
    }
  }

  /** Row and column of a code point. */
  indexOf(codePoint: number): number {
    return codePoint > 0xffff ? (this.#astralIndexes.get(codePoint) ?? 0) : this.indexes[codePoint]!;
  }

  /**
   * End of the word that begins at `start`: the first place after it where no merge can cross.
   *
   * @param row - index of the character before `start` that belongs to the word, 0 for none
   */
  wordEnd(text: string, start: number, end: number, row = 0): number {
    const { indexes, joins, size } = this;
    let rowStart = row * size;
    let at = start;
    let first = row === 0;
    while (at < end) {
      const unit = text.charCodeAt(at);
      let index: number;
      let next = at + 1;
      if ((unit & 0xfc00) === 0xd800 && next < end && (text.charCodeAt(next) & 0xfc00) === 0xdc00) {
        index = this.indexOf(text.codePointAt(at)!);
        next++;
      } else if ((unit & 0xf800) === 0xd800) {
        index = indexes[0xfffd]!; // half a surrogate pair reads as U+FFFD
      } else {
        index = indexes[unit]!;
      }
      if (!first && joins[rowStart + index] === 0) return at;
      first = false;
      rowStart = index * size;
      at = next;
    }
    return at;
  }
}

function withoutMetaspace(codePoint: number): number {
  return codePoint === 0x2581 ? 0x20 : codePoint;
}
