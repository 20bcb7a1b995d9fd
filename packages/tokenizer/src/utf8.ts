/** What {@link Utf8Reader.push} answers for a byte that does not complete a character. */
export const incomplete = -1;
export const invalid = -2;

/** Reads UTF-8 byte by byte and knows at once when a byte can no longer lead to a character. */
export class Utf8Reader {
  /** Bytes taken in since the last complete character. */
  held = 0;
  #missing = 0;
  #codePoint = 0;
  #lowest = 0x80;
  #highest = 0xbf;

  /** The code point that this byte completes, or {@link incomplete}, or {@link invalid}. */
  push(byte: number): number {
    if (this.#missing === 0) {
      if (byte < 0x80) return byte;
      this.#lowest = 0x80;
      this.#highest = 0xbf;
      // The second byte is restricted where overlong forms, surrogates and values above U+10FFFF would hide (RFC 3629).
      if (byte >= 0xc2 && byte <= 0xdf) {
        this.#missing = 1;
        this.#codePoint = byte & 0x1f;
      } else if (byte >= 0xe0 && byte <= 0xef) {
        this.#missing = 2;
        this.#codePoint = byte & 0x0f;
        if (byte === 0xe0) this.#lowest = 0xa0;
        if (byte === 0xed) this.#highest = 0x9f;
      } else if (byte >= 0xf0 && byte <= 0xf4) {
        this.#missing = 3;
        this.#codePoint = byte & 0x07;
        if (byte === 0xf0) this.#lowest = 0x90;
        if (byte === 0xf4) this.#highest = 0x8f;
      } else {
        return invalid;
      }
      this.held = 1;
      return incomplete;
    }
    if (byte < this.#lowest || byte > this.#highest) return invalid;
    this.#lowest = 0x80;
    this.#highest = 0xbf;
    this.#codePoint = (this.#codePoint << 6) | (byte & 0x3f);
    this.held++;
    if (--this.#missing > 0) return incomplete;
    this.held = 0;
    return this.#codePoint;
  }

  reset(): void {
    this.held = 0;
    this.#missing = 0;
  }
}

/** The UTF-8 bytes of a code point. */
export function utf8Bytes(codePoint: number): number[] {
  if (codePoint < 0x80) return [codePoint];
  if (codePoint < 0x800) return [0xc0 | (codePoint >> 6), 0x80 | (codePoint & 0x3f)];
  if (codePoint < 0x10000)
    return [0xe0 | (codePoint >> 12), 0x80 | ((codePoint >> 6) & 0x3f), 0x80 | (codePoint & 0x3f)];
  return [
    0xf0 | (codePoint >> 18),
    0x80 | ((codePoint >> 12) & 0x3f),
    0x80 | ((codePoint >> 6) & 0x3f),
    0x80 | (codePoint & 0x3f),
  ];
}
