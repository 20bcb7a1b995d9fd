import { Phi3Error, printable } from '@phiblocks/tensor';

/** What a JSON text holds. Objects are Maps: a key from a file, such as `__proto__`, never becomes an object key. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | ReadonlyMap<string, JsonValue>;

/** How strictly to read, and how to name what is wrong. */
export interface StrictJsonOptions {
  /** The public function that reads, for messages. */
  function: string;
  /** File name, for messages. */
  file: string;
  /** How deep arrays and objects may nest; `[]` is depth 1. */
  maxDepth: number;
  /** How many values (numbers, strings, arrays, …) the text may hold together. Default: 20 million. */
  maxValues?: number | undefined;
  /** Where the text begins in its file, so that the offset in a message counts from the start of the file. Default: 0. */
  startOffset?: number | undefined;
  /** The code of each fault. `limit` is for too many values; without it that fault carries the `depth` code. */
  codes: { utf8: string; syntax: string; depth: string; duplicate: string; limit?: string | undefined };
}

/**
 * Parses JSON (RFC 8259) from bytes, more strictly than `JSON.parse`: the bytes must be valid UTF-8, no object may hold a
 * key twice, nesting is limited, and every number must be finite in float64 (`1e400` is not). A lone surrogate escape, a
 * byte order mark, `NaN` and trailing commas are syntax errors.
 *
 * @param bytes - the whole text
 * @returns its value; objects as `Map`, in file order
 * @throws Phi3Error `codes.utf8`, `codes.syntax`, `codes.depth`, `codes.duplicate` or `codes.limit`, with the file, the
 * byte offset and the line of the fault
 * @example
 * const codes = { utf8: 'UTF8', syntax: 'JSON', depth: 'DEPTH', duplicate: 'DUPLICATE' };
 * const options = { function: 'read', file: 'config.json', maxDepth: 4, codes };
 * const value = parseStrictJson(new TextEncoder().encode('{"hidden_size": 3072}'), options);
 * value.get('hidden_size'); // => 3072
 */
export function parseStrictJson(bytes: Uint8Array, options: StrictJsonOptions): JsonValue {
  expectUtf8(bytes, options);
  return new StrictJsonParser(bytes, options, undefined).parse();
}

/** Takes the members of the outermost object one by one. */
export interface MemberVisitor {
  /** How many values the member of that key may hold; more are a fault before they take memory. */
  maxValuesOf(key: string): number;
  /** Called as soon as the member has been read; the parser does not keep its value. */
  visit(key: string, value: JsonValue): void;
}

/** What may stand outside the outermost object's members: the root itself, and room to say what else it is. */
const maxValuesOutside = 64;

/**
 * {@link parseStrictJson} for a long object whose members can be judged alone: only one of them is in memory at a time, and
 * the first that is wrong ends the reading. `maxValues` does not count here.
 *
 * @returns the root; for an object an empty Map, since its members went to the visitor
 * @internal
 */
export function parseStrictJsonMembers(
  bytes: Uint8Array,
  options: Omit<StrictJsonOptions, 'maxValues'>,
  visitor: MemberVisitor,
): JsonValue {
  expectUtf8(bytes, options);
  return new StrictJsonParser(bytes, { ...options, maxValues: maxValuesOutside }, visitor).parse();
}

function expectUtf8(bytes: Uint8Array, options: StrictJsonOptions): void {
  const invalid = firstInvalidUtf8(bytes);
  if (invalid < 0) return;
  throw new Phi3Error({
    code: options.codes.utf8,
    function: options.function,
    expected: 'text in UTF-8',
    got: `byte 0x${bytes[invalid]!.toString(16).padStart(2, '0')}`,
    where: place(bytes, invalid, options),
  });
}

/**
 * The offset of the first byte that does not belong to valid UTF-8 (no overlong forms, no surrogates, nothing above
 * U+10FFFF), or -1. For a sequence that is cut off or malformed it is the offset of its first byte.
 */
function firstInvalidUtf8(bytes: Uint8Array): number {
  const length = bytes.length;
  let i = 0;
  while (i < length) {
    const lead = bytes[i]!;
    if (lead < 0x80) {
      i++;
      continue;
    }
    // The range of the second byte excludes overlong forms, surrogates and what lies above U+10FFFF (Unicode table 3-7).
    let following: number;
    let lowest = 0x80;
    let highest = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf) following = 1;
    else if (lead >= 0xe0 && lead <= 0xef) {
      following = 2;
      if (lead === 0xe0) lowest = 0xa0;
      if (lead === 0xed) highest = 0x9f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      following = 3;
      if (lead === 0xf0) lowest = 0x90;
      if (lead === 0xf4) highest = 0x8f;
    } else return i;
    if (i + following >= length) return i;
    if (bytes[i + 1]! < lowest || bytes[i + 1]! > highest) return i;
    for (let k = 2; k <= following; k++) {
      if ((bytes[i + k]! & 0xc0) !== 0x80) return i;
    }
    i += following + 1;
  }
  return -1;
}

function place(bytes: Uint8Array, position: number, options: StrictJsonOptions) {
  let line = 1;
  for (let i = 0; i < position; i++) if (bytes[i] === LINE_FEED) line++;
  return { file: options.file, offset: (options.startOffset ?? 0) + position, line };
}

const LINE_FEED = 0x0a;
const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

const defaultMaxValues = 20_000_000;

/** A recursive descent over the bytes; recursion is bounded by `maxDepth`. The bytes are known to be valid UTF-8. */
class StrictJsonParser {
  private readonly bytes: Uint8Array;
  private readonly options: StrictJsonOptions;
  // `ignoreBOM` keeps U+FEFF at the start of a string; without it two different keys could decode to the same text.
  private readonly decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  private readonly visitor: MemberVisitor | undefined;
  private maxValues: number;
  private values = 0;
  private position = 0;
  private depth = 0;

  constructor(bytes: Uint8Array, options: StrictJsonOptions, visitor: MemberVisitor | undefined) {
    this.bytes = bytes;
    this.options = options;
    this.visitor = visitor;
    this.maxValues = options.maxValues ?? defaultMaxValues;
  }

  parse(): JsonValue {
    this.skipWhitespace();
    const value = this.value();
    this.skipWhitespace();
    if (this.position < this.bytes.length) throw this.syntaxError('the end of the text');
    return value;
  }

  private value(): JsonValue {
    if (++this.values > this.maxValues) {
      const { codes } = this.options;
      throw this.fault(codes.limit ?? codes.depth, `at most ${this.maxValues} values`, 'more');
    }
    const byte = this.bytes[this.position];
    if (byte === QUOTE) return this.string();
    if (byte === OPEN_OBJECT) return this.object();
    if (byte === OPEN_ARRAY) return this.array();
    if (byte === MINUS || (byte !== undefined && byte >= ZERO && byte <= NINE)) return this.number();
    if (this.skipWord('true')) return true;
    if (this.skipWord('false')) return false;
    if (this.skipWord('null')) return null;
    throw this.syntaxError('a value');
  }

  private object(): ReadonlyMap<string, JsonValue> {
    this.enter();
    const visitor = this.depth === 1 ? this.visitor : undefined;
    const visited = visitor && new Set<string>();
    const members = new Map<string, JsonValue>();
    if (!this.skipByte(CLOSE_OBJECT)) {
      do {
        this.skipWhitespace();
        const keyPosition = this.position;
        if (this.bytes[keyPosition] !== QUOTE) throw this.syntaxError('a key in double quotes');
        const key = this.string();
        if ((visited ?? members).has(key)) throw this.duplicateError(key, keyPosition);
        this.skipWhitespace();
        if (!this.skipByte(COLON)) throw this.syntaxError('a colon');
        this.skipWhitespace();
        if (visitor) {
          this.values = 0;
          this.maxValues = visitor.maxValuesOf(key);
          visited?.add(key);
          visitor.visit(key, this.value());
        } else {
          members.set(key, this.value());
        }
        this.skipWhitespace();
      } while (this.skipByte(COMMA));
      if (!this.skipByte(CLOSE_OBJECT)) throw this.syntaxError('a comma or }');
    }
    this.depth--;
    return members;
  }

  private array(): readonly JsonValue[] {
    this.enter();
    const items: JsonValue[] = [];
    if (!this.skipByte(CLOSE_ARRAY)) {
      do {
        this.skipWhitespace();
        items.push(this.value());
        this.skipWhitespace();
      } while (this.skipByte(COMMA));
      if (!this.skipByte(CLOSE_ARRAY)) throw this.syntaxError('a comma or ]');
    }
    this.depth--;
    return items;
  }

  /** Steps over the opening bracket and the white space behind it. */
  private enter(): void {
    if (++this.depth > this.options.maxDepth) {
      const { codes, maxDepth } = this.options;
      throw this.fault(codes.depth, `at most ${maxDepth} levels of nesting`, 'more');
    }
    this.position++;
    this.skipWhitespace();
  }

  private string(): string {
    const { bytes } = this;
    let text = '';
    let start = ++this.position; // first byte not yet in `text`
    let isAscii = true;
    for (;;) {
      const byte = bytes[this.position];
      if (byte === undefined || byte < 0x20)
        throw this.syntaxError('the end of the string, control characters escaped');
      if (byte !== QUOTE && byte !== BACKSLASH) {
        this.position++;
        if (byte >= 0x80) isAscii = false;
        continue;
      }
      if (this.position > start) text += this.decode(start, isAscii);
      this.position++;
      if (byte === QUOTE) return text;
      text += this.escape();
      start = this.position;
    }
  }

  /** The text from `start` to the position. A header is mostly short ASCII, for which a decoder's call costs the most. */
  private decode(start: number, isAscii: boolean): string {
    const piece = this.bytes.subarray(start, this.position);
    if (isAscii && piece.length <= 128) return Reflect.apply(String.fromCharCode, undefined, piece);
    return this.decoder.decode(piece);
  }

  /** What follows a backslash. */
  private escape(): string {
    const letter = String.fromCharCode(this.bytes[this.position] ?? 0);
    const plain = '"\\/bfnrt'.indexOf(letter);
    if (plain >= 0) {
      this.position++;
      return '"\\/\b\f\n\r\t'[plain]!;
    }
    if (letter !== 'u') throw this.syntaxError('an escape of JSON');
    const escapePosition = this.position;
    const unit = this.unicodeEscape();
    if (unit < 0xd800 || unit > 0xdfff) return String.fromCharCode(unit);
    // A surrogate counts only as a pair: half of one has no UTF-8 form, so two files could not agree on what it names.
    if (unit < 0xdc00 && this.bytes[this.position] === BACKSLASH && this.bytes[this.position + 1] === 0x75) {
      this.position++;
      const low = this.unicodeEscape();
      if (low >= 0xdc00 && low <= 0xdfff) return String.fromCharCode(unit, low);
    }
    this.position = escapePosition;
    throw this.syntaxError('surrogate escapes in pairs');
  }

  /** The number in `uXXXX`. */
  private unicodeEscape(): number {
    this.position++;
    let unit = 0;
    for (let k = 0; k < 4; k++) {
      const byte = this.bytes[this.position] ?? 0;
      const letter = byte | 0x20;
      if (byte >= ZERO && byte <= NINE) unit = unit * 16 + byte - ZERO;
      else if (letter >= 0x61 && letter <= 0x66) unit = unit * 16 + letter - 0x61 + 10;
      else throw this.syntaxError('four hexadecimal digits');
      this.position++;
    }
    return unit;
  }

  private number(): number {
    const start = this.position;
    this.skipByte(MINUS);
    if (this.bytes[this.position] === ZERO) this.position++;
    else this.digits();
    if (this.skipByte(POINT)) this.digits();
    if (((this.bytes[this.position] ?? 0) | 0x20) === 0x65) {
      this.position++;
      if (this.bytes[this.position] === 0x2b || this.bytes[this.position] === MINUS) this.position++;
      this.digits();
    }
    const text = this.decode(start, true);
    const value = Number(text);
    if (!Number.isFinite(value)) {
      this.position = start;
      throw this.fault(this.options.codes.syntax, 'a number that float64 can hold', text);
    }
    return value;
  }

  private digits(): void {
    const start = this.position;
    for (;;) {
      const byte = this.bytes[this.position];
      if (byte === undefined || byte < ZERO || byte > NINE) break;
      this.position++;
    }
    if (this.position === start) throw this.syntaxError('a digit');
  }

  private skipWhitespace(): void {
    for (;;) {
      const byte = this.bytes[this.position];
      if (byte !== 0x20 && byte !== LINE_FEED && byte !== 0x0d && byte !== 0x09) return;
      this.position++;
    }
  }

  private skipByte(byte: number): boolean {
    if (this.bytes[this.position] !== byte) return false;
    this.position++;
    return true;
  }

  private skipWord(word: string): boolean {
    for (let k = 0; k < word.length; k++) {
      if (this.bytes[this.position + k] !== word.charCodeAt(k)) return false;
    }
    this.position += word.length;
    return true;
  }

  private duplicateError(key: string, position: number): Phi3Error {
    return new Phi3Error({
      code: this.options.codes.duplicate,
      function: this.options.function,
      expected: 'every key once',
      got: key,
      where: { ...place(this.bytes, position, this.options), key },
    });
  }

  private syntaxError(expected: string): Phi3Error {
    const byte = this.bytes[this.position];
    const isPrintable = byte !== undefined && byte >= 0x20 && byte < 0x7f;
    const got =
      byte === undefined
        ? 'the end of the text'
        : isPrintable
          ? printable(String.fromCharCode(byte))
          : `byte 0x${byte.toString(16).padStart(2, '0')}`;
    return this.fault(this.options.codes.syntax, expected, got);
  }

  private fault(code: string, expected: string, got: string): Phi3Error {
    const where = place(this.bytes, this.position, this.options);
    return new Phi3Error({ code, function: this.options.function, expected, got, where });
  }
}
