import { isWhiteSpace } from './white-space.ts';

/**
 * The pattern of `cl100k_base` as tiktoken publishes it (`tiktoken_ext/openai_public.py`) and Phi-3-small repeats it. It is
 * here to be compared with, never to be run: {@link Cl100kSplitter} does by hand what it says.
 */
export const cl100kPattern =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const letter = 1;
const number = 2;
const newline = 3;
const space = 4;
const other = 5;
const surrogate = 6;

/** Cuts text where the cl100k pattern would, in one pass and without backtracking. */
export class Cl100kSplitter {
  /** Class by code point, 0 while unknown. Filled as characters occur; the pages that never do cost nothing. */
  readonly #classes = new Uint8Array(0x110000);

  constructor() {
    this.#classes.fill(surrogate, 0xd800, 0xe000);
    for (let unit = 0; unit < 0x80; unit++) this.#classify(unit);
  }

  /** End of the pre-token that begins at `start`, as if the text ended at `end`. `start` is less than `end`. */
  next(text: string, start: number, end: number): number {
    const classes = this.#classes;
    const unit = text.charCodeAt(start);
    if (unit === 0x27) {
      const contraction = contractionLength(text, start, end);
      if (contraction > 0) return start + contraction;
    }
    const kind = this.#classAt(text, start, end);
    let at = start + this.#width;

    // [^\r\n\p{L}\p{N}]?\p{L}+
    if (kind === letter) return this.#letters(text, at, end);
    if (kind === number) {
      // \p{N}{1,3}
      for (let count = 1; count < 3 && at < end && this.#classAt(text, at, end) === number; count++) at += this.#width;
      return at;
    }
    if (kind !== newline && at < end && this.#classAt(text, at, end) === letter)
      return this.#letters(text, at + this.#width, end);

    //  ?[^\s\p{L}\p{N}]+[\r\n]*
    if (kind === other || (unit === 0x20 && at < end && this.#classAt(text, at, end) === other)) {
      while (at < end && this.#classAt(text, at, end) === other) at += this.#width;
      while (at < end && classes[text.charCodeAt(at)] === newline) at++;
      return at;
    }

    // White space only from here on: one code unit each, never half a pair.
    let lastNewline = kind === newline ? start : -1;
    for (; at < end; at++) {
      const white = this.#classAt(text, at, end);
      if (white === newline) lastNewline = at;
      else if (white !== space) break;
    }
    if (lastNewline >= 0) return lastNewline + 1; // \s*[\r\n]+
    // \s+(?!\S) leaves the last one to what follows, \s+ takes a single one.
    return at === end || at === start + 1 ? at : at - 1;
  }

  /** Width in code units of the character that {@link #classAt} looked at last. */
  #width = 1;

  #classAt(text: string, at: number, end: number): number {
    const unit = text.charCodeAt(at);
    const kind = this.#classes[unit]!;
    this.#width = 1;
    if (kind === surrogate) {
      if (unit >= 0xdc00 || at + 1 >= end || (text.charCodeAt(at + 1) & 0xfc00) !== 0xdc00) return other; // as U+FFFD
      this.#width = 2;
      const codePoint = text.codePointAt(at)!;
      return this.#classes[codePoint] || this.#classify(codePoint);
    }
    return kind === 0 ? this.#classify(unit) : kind;
  }

  #letters(text: string, from: number, end: number): number {
    const classes = this.#classes;
    let at = from;
    while (at < end) {
      if (classes[text.charCodeAt(at)] === letter) {
        at++;
        continue;
      }
      if (this.#classAt(text, at, end) !== letter) break;
      at += this.#width;
    }
    return at;
  }

  #classify(codePoint: number): number {
    const character = String.fromCodePoint(codePoint);
    let kind = other;
    if (codePoint === 0x0a || codePoint === 0x0d) kind = newline;
    else if (codePoint <= 0xffff && isWhiteSpace(codePoint)) kind = space;
    else if (/\p{L}/u.test(character)) kind = letter;
    else if (/\p{N}/u.test(character)) kind = number;
    this.#classes[codePoint] = kind;
    return kind;
  }
}

/** Length of `(?i:'s|'t|'re|'ve|'m|'ll|'d)` at an apostrophe, 0 where there is none. */
function contractionLength(text: string, start: number, end: number): number {
  if (start + 1 >= end) return 0;
  const first = text.charCodeAt(start + 1);
  // Unicode case folding adds one character to these letters: U+017F, the long s.
  if (first === 0x17f) return 2;
  const lower = first | 0x20;
  if (lower === 0x73 || lower === 0x74 || lower === 0x6d || lower === 0x64) return 2;
  if (start + 2 >= end) return 0;
  const second = text.charCodeAt(start + 2) | 0x20;
  if ((lower === 0x72 || lower === 0x76) && second === 0x65) return 3;
  return lower === 0x6c && second === 0x6c ? 3 : 0;
}
