import type { StreamDecoder } from './tokenizer.ts';
import { incomplete, invalid, Utf8Reader } from './utf8.ts';

const replacement = '\ufffd';

/** How each id of a SentencePiece-style vocabulary decodes. */
export class SentencepieceDecoder {
  /** Text by id with U+2581 as a space; undefined for an id without a token. */
  readonly #texts: (string | undefined)[];
  /** The byte that a token `<0xNN>` stands for, −1 for other tokens. */
  readonly #bytes: Int16Array;
  readonly #isSpecial: Uint8Array;
  readonly #stripFirstSpace: boolean;

  constructor(tokens: readonly (string | undefined)[], specialIds: Iterable<number>, stripFirstSpace: boolean) {
    this.#texts = tokens.map((token) => token?.replaceAll('\u2581', ' '));
    this.#bytes = new Int16Array(tokens.length).fill(-1);
    for (let id = 0; id < tokens.length; id++) this.#bytes[id] = byteOfToken(tokens[id] ?? '');
    this.#isSpecial = new Uint8Array(tokens.length);
    for (const id of specialIds) this.#isSpecial[id] = 1;
    this.#stripFirstSpace = stripFirstSpace;
  }

  /**
   * Decoder chain of `tokenizer.json`: Replace, ByteFallback, Fuse, Strip (Rust tokenizers `decoders/byte_fallback.rs`).
   * An id without a token adds nothing and does not break a run of bytes, and neither does a skipped one.
   */
  decode(ids: ArrayLike<number>, skipSpecialTokens: boolean): string {
    const reader = new Utf8Reader();
    let text = '';
    let run = '';
    let runLength = 0;
    let runIsValid = true;
    for (let i = 0; i <= ids.length; i++) {
      // One step past the end closes the last run.
      const id = i < ids.length ? ids[i]! : -1;
      if (id >= 0 && this.#isSilent(id, skipSpecialTokens)) continue;
      const byte = id >= 0 ? this.#bytes[id]! : -1;
      if (byte >= 0) {
        runLength++;
        if (!runIsValid) continue;
        const codePoint = reader.push(byte);
        if (codePoint === invalid) runIsValid = false;
        else if (codePoint !== incomplete) run += String.fromCodePoint(codePoint);
        continue;
      }
      if (runLength > 0) {
        // A run that is not valid as a whole gives one U+FFFD per byte, valid characters in it included.
        text += runIsValid && reader.held === 0 ? run : replacement.repeat(runLength);
        run = '';
        runLength = 0;
        runIsValid = true;
        reader.reset();
      }
      if (id >= 0) text += this.#texts[id]!;
    }
    return this.#stripFirstSpace && text.startsWith(' ') ? text.slice(1) : text;
  }

  /**
   * As {@link SentencepieceDecoder.decode}, id by id. Characters of a run of bytes go out as they are completed, so a run
   * that turns out malformed keeps the valid characters before the fault, which `decode` loses; from the fault on it is
   * one U+FFFD per byte, withheld until the run ends.
   */
  createStreamDecoder(skipSpecialTokens: boolean): StreamDecoder {
    const reader = new Utf8Reader();
    let brokenBytes = 0;
    let atStart = this.#stripFirstSpace;
    const release = (text: string): string => {
      if (!atStart || text === '') return text;
      atStart = false;
      return text.startsWith(' ') ? text.slice(1) : text;
    };
    const endRun = (): string => {
      const withheld = replacement.repeat(brokenBytes + reader.held);
      reader.reset();
      brokenBytes = 0;
      return withheld;
    };
    return {
      push: (id) => {
        if (this.#isSilent(id, skipSpecialTokens)) return '';
        const byte = this.#bytes[id]!;
        if (byte < 0) return release(endRun() + this.#texts[id]!);
        if (brokenBytes > 0) {
          brokenBytes++;
          return '';
        }
        const codePoint = reader.push(byte);
        if (codePoint >= 0) return release(String.fromCodePoint(codePoint));
        if (codePoint === invalid) {
          brokenBytes = reader.held + 1;
          reader.reset();
        }
        return '';
      },
      flush: () => {
        const text = release(endRun());
        atStart = this.#stripFirstSpace;
        return text;
      },
    };
  }

  #isSilent(id: number, skipSpecialTokens: boolean): boolean {
    return this.#texts[id] === undefined || (skipSpecialTokens && this.#isSpecial[id] === 1);
  }
}

/** The byte of a token `<0x00>` … `<0xFF>`, read strictly; −1 for any other text. */
export function byteOfToken(token: string): number {
  // Most tokens are not six characters long; the pattern is our own.
  return token.length === 6 && /^<0x[0-9A-Fa-f]{2}>$/.test(token) ? Number.parseInt(token.slice(3, 5), 16) : -1;
}
