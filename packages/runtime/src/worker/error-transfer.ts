import { ArgumentError, type ErrorLocation, isPhi3Error, Phi3Error, ShapeError } from '@phiblocks/tensor';

/** An error in a form that a message can carry. */
export interface ErrorMessage {
  readonly name: string;
  readonly message: string;
  readonly stack?: string | undefined;
  readonly cause?: ErrorMessage | undefined;
  /** Of a `Phi3Error`. */
  readonly phi3?: Phi3Fields | undefined;
}

interface Phi3Fields {
  readonly code: string;
  readonly function: string;
  readonly argument: string | undefined;
  readonly expected: string | undefined;
  /** Left out where a message cannot carry it; the text of the error says what it was. */
  readonly got?: unknown;
  readonly where: Readonly<ErrorLocation>;
  readonly hint: string | undefined;
  readonly retryable: boolean;
}

/** An error may be the cause of another, and so on; a circle of causes must end somewhere. */
const mostCauses = 8;

/** What a message can carry of an error: all fields of a `Phi3Error`, and name, text and causes of any other. */
export function packError(error: unknown, causesLeft = mostCauses): ErrorMessage {
  if (!(error instanceof Error) && !isPhi3Error(error)) return { name: 'Error', message: String(error) };
  const { name, message, stack, cause } = error;
  return {
    name,
    message,
    stack,
    ...(cause !== undefined && causesLeft > 0 && { cause: packError(cause, causesLeft - 1) }),
    ...(isPhi3Error(error) && { phi3: fieldsOf(error) }),
  };
}

function fieldsOf(error: Phi3Error): Phi3Fields {
  const { code, argument, expected, got, where, hint, retryable } = error;
  return {
    code,
    function: error.function,
    argument,
    expected,
    ...(isPlain(got) && { got }),
    where: { ...where },
    hint,
    retryable,
  };
}

function isPlain(value: unknown): boolean {
  if (Array.isArray(value))
    return value.length <= 64 && value.every((item) => typeof item !== 'object' && isPlain(item));
  return !['object', 'function', 'symbol'].includes(typeof value) || value === null;
}

/** The error again, of its class where that is one of `@phiblocks/tensor`. */
export function unpackError({ name, message, stack, cause, phi3 }: ErrorMessage): Error {
  const reason = cause && unpackError(cause);
  let error: Error;
  if (phi3 === undefined) {
    error = new Error(message, reason && { cause: reason });
  } else {
    const details = { ...phi3, where: { ...phi3.where }, cause: reason };
    if (phi3.code === 'SHAPE') error = new ShapeError(details);
    else if (phi3.code === 'ARGUMENT') error = new ArgumentError(details);
    else error = new Phi3Error(details);
  }
  // As it was written where it was thrown: it may tell more than its fields.
  for (const [key, value] of Object.entries({ name, message, stack })) {
    if (error[key as 'name' | 'message' | 'stack'] !== value) {
      Object.defineProperty(error, key, { value, configurable: true, writable: true });
    }
  }
  return error;
}
