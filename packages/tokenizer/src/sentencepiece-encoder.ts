import { BpeMerger } from './bpe-merger.ts';
import { CharacterJoins } from './character-joins.ts';
import type { IdBuffer } from './id-buffer.ts';
import type { Merges } from './pair-table.ts';
import { utf8Bytes } from './utf8.ts';
import { longestCachedWord, WordCache } from './word-cache.ts';

/** What a SentencePiece-style vocabulary says about encoding. */
export interface SentencepieceVocabulary {
  /** Texts of the tokens by id, U+2581 for the space; undefined where an id has no token. */
  tokens: readonly (string | undefined)[];
  /** Ids of the tokens that stand for one character. */
  characters: ReadonlyMap<number, number>;
  /** Id of the token of each byte. */
  byteIds: Int32Array;
  merges: Merges;
  /** Put a U+2581 in front of every piece of text between added tokens. */
  addPrefix: boolean;
}

/** Encodes one piece of text between added tokens by SentencePiece-style BPE with byte fallback. */
export class SentencepieceEncoder {
  readonly #characterIds = new Int32Array(0x10000).fill(-1);
  readonly #astralIds = new Map<number, number>();
  readonly #byteIds: Int32Array;
  readonly #addPrefix: boolean;
  readonly #joins: CharacterJoins;
  readonly #merger: BpeMerger;
  #cache: WordCache | undefined;

  constructor({ tokens, characters, byteIds, merges, addPrefix }: SentencepieceVocabulary) {
    for (const [codePoint, id] of characters) {
      if (codePoint > 0xffff) this.#astralIds.set(codePoint, id);
      else this.#characterIds[codePoint] = id;
    }
    // The normalizer turns every space into U+2581, so the two are one character from here on.
    this.#characterIds[0x20] = this.#characterIds[0x2581]!;
    // Half a surrogate pair reads as U+FFFD.
    this.#characterIds.fill(this.#characterIds[0xfffd]!, 0xd800, 0xe000);
    this.#byteIds = byteIds;
    this.#addPrefix = addPrefix;
    this.#merger = new BpeMerger(merges);
    this.#joins = new CharacterJoins(Array.from(new Set(merges.results), (id) => tokens[id]!));
  }

  /**
   * Encodes from `position` on and returns where it stopped: at `end`, or at a word that begins at or after `stopAfter`.
   *
   * @param pieceStart - where the piece begins; only there the prefix is put
   */
  encodePart(
    text: string,
    pieceStart: number,
    position: number,
    end: number,
    stopAfter: number,
    out: IdBuffer,
  ): number {
    const joins = this.#joins;
    let start = position;
    if (start === pieceStart && this.#addPrefix) {
      start = joins.wordEnd(text, position, end, joins.indexOf(0x20));
      const word = ` ${text.slice(position, start)}`;
      this.#encodeWord(word, 0, word.length, out);
    }
    const characterIds = this.#characterIds;
    // At least one word: a call that returned at the start of the piece would put the prefix twice.
    while (start < end) {
      const next = joins.wordEnd(text, start, end);
      const id = next - start === 1 ? characterIds[text.charCodeAt(start)]! : -1;
      if (id >= 0) out.push(id);
      else this.#encodeWord(text, start, next, out);
      start = next;
      if (start >= stopAfter) break;
    }
    return start;
  }

  #encodeWord(text: string, start: number, end: number, out: IdBuffer): void {
    if (end - start > longestCachedWord) {
      this.#mergeWord(text, start, end, out);
      return;
    }
    this.#cache ??= new WordCache();
    if (this.#cache.emit(text, start, end, out)) return;
    const firstId = out.length;
    this.#mergeWord(text, start, end, out);
    this.#cache.remember(text, start, end, out, firstId);
  }

  #mergeWord(text: string, start: number, end: number, out: IdBuffer): void {
    const merger = this.#merger;
    merger.start();
    for (let at = start; at < end; at++) {
      const unit = text.charCodeAt(at);
      let id = this.#characterIds[unit]!;
      let codePoint = unit;
      if ((unit & 0xf800) === 0xd800) {
        codePoint = 0xfffd;
        if (unit < 0xdc00 && at + 1 < end && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00) {
          codePoint = text.codePointAt(at)!;
          id = this.#astralIds.get(codePoint) ?? -1;
          at++;
        }
      } else if (unit === 0x20) {
        codePoint = 0x2581;
      }
      if (id >= 0) merger.add(id);
      else for (const byte of utf8Bytes(codePoint)) merger.add(this.#byteIds[byte]!);
    }
    merger.finish(out);
  }
}
