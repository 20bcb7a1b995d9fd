import type { StreamDecoder } from './tokenizer.ts';

/** Joins the bytes of tokens and reads them as UTF-8, each maximal malformed part as one U+FFFD (WHATWG Encoding). */
export class TiktokenDecoder {
  /** Bytes of a token, one character U+0000 … U+00FF each. */
  readonly #bytesOf: (id: number) => string;
  readonly #isSpecial: ReadonlySet<number>;

  constructor(bytesOf: (id: number) => string, isSpecial: ReadonlySet<number>) {
    this.#bytesOf = bytesOf;
    this.#isSpecial = isSpecial;
  }

  decode(ids: ArrayLike<number>, skipSpecialTokens: boolean): string {
    let bytes = '';
    for (let i = 0; i < ids.length; i++)
      if (!(skipSpecialTokens && this.#isSpecial.has(ids[i]!))) bytes += this.#bytesOf(ids[i]!);
    return createUtf8Decoder().decode(toBytes(bytes));
  }

  createStreamDecoder(skipSpecialTokens: boolean): StreamDecoder {
    const utf8 = createUtf8Decoder();
    return {
      push: (id) =>
        skipSpecialTokens && this.#isSpecial.has(id) ? '' : utf8.decode(toBytes(this.#bytesOf(id)), { stream: true }),
      flush: () => utf8.decode(),
    };
  }
}

function createUtf8Decoder(): TextDecoder {
  // Without ignoreBOM a leading U+FEFF would vanish.
  return new TextDecoder('utf-8', { ignoreBOM: true });
}

function toBytes(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
