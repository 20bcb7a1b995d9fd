import { BpeMerger } from './bpe-merger.ts';
import type { Cl100kSplitter } from './cl100k-splitter.ts';
import type { IdBuffer } from './id-buffer.ts';
import type { Merges } from './pair-table.ts';
import { utf8Bytes } from './utf8.ts';
import { longestCachedWord, WordCache } from './word-cache.ts';

/** Encodes one piece of text between special tokens by byte pair encoding of pre-tokens. */
export class TiktokenEncoder {
  /** Rank by token bytes, one character U+0000 … U+00FF per byte. */
  readonly #ranks: ReadonlyMap<string, number>;
  readonly #longestToken: number;
  readonly #byteIds = new Int32Array(256);
  readonly #splitter: Cl100kSplitter;
  readonly #merger: BpeMerger;
  #cache: WordCache | undefined;

  constructor(ranks: ReadonlyMap<string, number>, longestToken: number, merges: Merges, splitter: Cl100kSplitter) {
    this.#ranks = ranks;
    this.#longestToken = longestToken;
    for (let byte = 0; byte < 256; byte++) this.#byteIds[byte] = ranks.get(String.fromCharCode(byte))!;
    this.#merger = new BpeMerger(merges);
    this.#splitter = splitter;
  }

  /** Encodes from `position` on and returns where it stopped: at `end`, or at a pre-token at or after `stopAfter`. */
  encodePart(
    text: string,
    _pieceStart: number,
    position: number,
    end: number,
    stopAfter: number,
    out: IdBuffer,
  ): number {
    this.#cache ??= new WordCache();
    const cache = this.#cache;
    const splitter = this.#splitter;
    let start = position;
    while (start < end && start < stopAfter) {
      const next = splitter.next(text, start, end);
      if (next - start > longestCachedWord) {
        this.#encodeWord(text, start, next, out);
      } else if (!cache.emit(text, start, next, out)) {
        const firstId = out.length;
        this.#encodeWord(text, start, next, out);
        cache.remember(text, start, next, out, firstId);
      }
      start = next;
    }
    return start;
  }

  #encodeWord(text: string, start: number, end: number, out: IdBuffer): void {
    if (end - start <= this.#longestToken) {
      const id = this.#ranks.get(bytesAsText(text, start, end));
      if (id !== undefined) {
        out.push(id);
        return;
      }
    }
    const merger = this.#merger;
    merger.start();
    for (let at = start; at < end; at++) {
      const unit = text.charCodeAt(at);
      if (unit < 0x80) {
        merger.add(this.#byteIds[unit]!);
        continue;
      }
      const codePoint = wholeCodePoint(text, at, end);
      if (codePoint > 0xffff) at++;
      for (const byte of utf8Bytes(codePoint)) merger.add(this.#byteIds[byte]!);
    }
    merger.finish(out);
  }
}

/** UTF-8 bytes of `text[start, end)`, one character per byte. */
export function bytesAsText(text: string, start: number, end: number): string {
  for (let at = start; at < end; at++) {
    if (text.charCodeAt(at) < 0x80) continue;
    let bytes = text.slice(start, at);
    for (let i = at; i < end; i++) {
      const codePoint = wholeCodePoint(text, i, end);
      if (codePoint > 0xffff) i++;
      bytes += String.fromCharCode(...utf8Bytes(codePoint));
    }
    return bytes;
  }
  return text.slice(start, end);
}

/** Code point at a place; half a surrogate pair reads as U+FFFD. */
function wholeCodePoint(text: string, at: number, end: number): number {
  const unit = text.charCodeAt(at);
  if ((unit & 0xf800) !== 0xd800) return unit;
  const low = at + 1 < end ? text.charCodeAt(at + 1) : 0;
  return unit < 0xdc00 && (low & 0xfc00) === 0xdc00 ? text.codePointAt(at)! : 0xfffd;
}
