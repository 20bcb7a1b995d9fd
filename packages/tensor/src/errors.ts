// Two copies of this package may be installed side by side (two versions, ESM beside a bundle). `instanceof` would not
// recognise the other copy's errors, so the brand is a registered symbol, which both copies share.
const brand = Symbol.for('phiblocks.error');

/** Where in the outside world an error lies: in which file, at which byte, in which tensor, under which key. */
export interface ErrorLocation {
  file?: string;
  /** Byte offset from the start of the file. */
  offset?: number;
  tensor?: string;
  /** Line number, counted from 1. */
  line?: number;
  /** Key or path inside the file, for example `rope_scaling.long_factor[3]`. */
  key?: string;
}

/** What an error says; every field becomes a property of the error. */
export interface ErrorDetails<Code extends string = string> {
  /** Stable, never renamed once published: programs branch on it. */
  code: Code;
  /** The public function that noticed. */
  function: string;
  argument?: string;
  expected?: string;
  /** What came instead. Shortened and escaped in the message, kept as it is in the property. */
  got?: unknown;
  where?: ErrorLocation;
  /** One line on what to do about it. */
  hint?: string;
  /** True when the same call may succeed later (a busy session, a lost network). */
  retryable?: boolean;
  cause?: unknown;
}

/**
 * The error that every phiblocks package throws for what a caller or a file did wrong.
 *
 * The message is one line: `CODE function(argument): expected …, got … (file, offset, tensor). Hint.`
 *
 * @example
 * try {
 *   createFloatTensor(new Float32Array(6), [2, 2]);
 * } catch (error) {
 *   isPhi3Error(error) && error.code; // => 'SHAPE'
 * }
 */
export class Phi3Error<Code extends string = string> extends Error {
  override readonly name: string = 'Phi3Error';
  /** @internal */
  readonly [brand] = true;
  readonly code: Code;
  readonly function: string;
  readonly argument: string | undefined;
  readonly expected: string | undefined;
  readonly got: unknown;
  readonly where: Readonly<ErrorLocation>;
  readonly hint: string | undefined;
  readonly retryable: boolean;

  constructor(details: ErrorDetails<Code>) {
    super(messageOf(details), details.cause === undefined ? undefined : { cause: details.cause });
    this.code = details.code;
    this.function = details.function;
    this.argument = details.argument;
    this.expected = details.expected;
    this.got = details.got;
    this.where = details.where ?? {};
    this.hint = details.hint;
    this.retryable = details.retryable ?? false;
  }
}

/** Shapes that do not fit each other or the data. Its code is always `SHAPE`. */
export class ShapeError extends Phi3Error<'SHAPE'> {
  override readonly name = 'ShapeError';
  constructor(details: Omit<ErrorDetails, 'code'>) {
    super({ ...details, code: 'SHAPE' });
  }
}

/** An argument outside its range or of the wrong kind. Its code is always `ARGUMENT`. */
export class ArgumentError extends Phi3Error<'ARGUMENT'> {
  override readonly name = 'ArgumentError';
  constructor(details: Omit<ErrorDetails, 'code'>) {
    super({ ...details, code: 'ARGUMENT' });
  }
}

/**
 * True for an error of any phiblocks package, also one that came from another installed copy.
 *
 * @param error - anything that was thrown
 * @param code - when given, the error must carry this code too
 * @example
 * isPhi3Error(new Error('other')); // => false
 */
export function isPhi3Error(error: unknown, code?: string): error is Phi3Error {
  return (
    typeof error === 'object' &&
    error !== null &&
    brand in error &&
    (code === undefined || (error as { code?: unknown }).code === code)
  );
}

/**
 * Rejects option names that a function does not know, so that a misspelt option is never silently ignored.
 *
 * @param functionName - the public function, for the message
 * @param options - what the caller passed
 * @param known - every name the function reads
 * @throws Phi3Error `OPTION_UNKNOWN` naming the first unknown option and the known ones
 * @example
 * expectKnownOptions('sample', { temperature: 1 }, ['temperature', 'topP']);
 */
export function expectKnownOptions(functionName: string, options: object, known: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new Phi3Error({
        code: 'OPTION_UNKNOWN',
        function: functionName,
        argument: printable(name),
        expected: `one of ${known.join(', ')}`,
        got: name,
      });
    }
  }
}

const longestShownText = 80;

/**
 * Text from outside, made safe to print in a message or a terminal: control characters escaped, long text shortened.
 *
 * @example
 * printable('a\u0007b'); // => 'a\\u0007b'
 */
export function printable(text: string): string {
  const short = text.length > longestShownText ? `${text.slice(0, longestShownText)}…` : text;
  // Names come from files: a newline could forge a log line, an escape sequence could drive the terminal, a bidirectional
  // control could reorder what is read.
  return short.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to escape
    /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function shown(value: unknown): string {
  if (typeof value === 'string') return `'${printable(value)}'`;
  if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    const items = Array.from(value as ArrayLike<unknown>).slice(0, 8);
    const more = (value as ArrayLike<unknown>).length > 8 ? ', …' : '';
    return `[${items.map(shown).join(', ')}${more}]`;
  }
  if (typeof value === 'bigint') return `${value}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  if (typeof value === 'function') return 'a function';
  return String(value);
}

function messageOf(details: ErrorDetails): string {
  let message = `${details.code} ${details.function}`;
  if (details.argument !== undefined) message += `(${printable(details.argument)})`;
  if (details.expected !== undefined) {
    message += `: expected ${details.expected}`;
    if ('got' in details) message += `, got ${shown(details.got)}`;
  } else if ('got' in details) {
    message += `: got ${shown(details.got)}`;
  }
  const { file, offset, tensor, line, key } = details.where ?? {};
  const places = [
    file === undefined ? '' : `file ${printable(file)}`,
    line === undefined ? '' : `line ${line}`,
    offset === undefined ? '' : `offset ${offset}`,
    tensor === undefined ? '' : `tensor ${printable(tensor)}`,
    key === undefined ? '' : `key ${printable(key)}`,
  ].filter((place) => place !== '');
  if (places.length > 0) message += ` (${places.join(', ')})`;
  if (details.hint !== undefined) message += `. ${details.hint}`;
  return message;
}
