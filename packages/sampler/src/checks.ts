import { ArgumentError, Phi3Error } from '@phiblocks/tensor';

const largestFloat32 = 3.4028234663852886e38;

/** Throws unless the number is whole and in the range. */
export function expectWholeNumber(functionName: string, argument: string, value: unknown, least = 0): void {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least) {
    throw new ArgumentError({
      function: functionName,
      argument,
      expected: `a whole number from ${least} up`,
      got: value,
    });
  }
}

/** Throws unless `accepts` holds for the number. */
export function expectNumber(
  functionName: string,
  argument: string,
  value: unknown,
  expected: string,
  accepts: (value: number) => boolean,
): void {
  if (typeof value !== 'number' || !accepts(value)) {
    throw new ArgumentError({ function: functionName, argument, expected, got: value });
  }
}

/** Throws unless the value is a list of numbers. Its elements are checked where they are used. */
export function expectIds(functionName: string, argument: string, ids: unknown): void {
  if (typeof ids !== 'object' || ids === null || typeof (ids as { length?: unknown }).length !== 'number') {
    throw new ArgumentError({ function: functionName, argument, expected: 'an array of token ids', got: ids });
  }
}

/** Throws for an id that is no position of the logits. */
export function rejectId(functionName: string, argument: string, id: unknown, vocabSize: number): never {
  throw new ArgumentError({
    function: functionName,
    argument,
    expected: `a token id from 0 to ${vocabSize - 1}`,
    got: id,
  });
}

/** Recognises arrays of another realm (a frame, a test runner's context) too, which `instanceof` would not. */
function isFloat32Array(value: unknown): value is Float32Array {
  return ArrayBuffer.isView(value) && (value as Float32Array)[Symbol.toStringTag] === 'Float32Array';
}

/** Throws unless logits are a Float32Array. */
export function expectFloat32(functionName: string, logits: unknown): void {
  if (!isFloat32Array(logits)) {
    throw new ArgumentError({ function: functionName, argument: 'logits', expected: 'a Float32Array', got: logits });
  }
}

/** Throws for a logit that no token may come of. */
export function rejectLogit(functionName: string, index: number, value: number): never {
  throw new Phi3Error({
    code: 'NUM_NAN',
    function: functionName,
    argument: `logits[${index}]`,
    expected: 'finite numbers or -Infinity',
    got: value,
    hint: 'Look for the first layer whose output is not finite',
  });
}

/** Throws when no token is left. */
export function rejectEmpty(functionName: string, vocabSize: number): never {
  throw new Phi3Error({
    code: 'SAMPLER_EMPTY',
    function: functionName,
    argument: 'logits',
    expected: 'at least one token that is not ruled out',
    got: vocabSize === 0 ? 'no logits' : `${vocabSize} logits of -Infinity`,
    hint: 'Loosen the bias, the n-gram rule or the grammar that rules tokens out',
  });
}

/**
 * Copies logits to where a step may write, checking each one on the way.
 *
 * @returns `out`, or a new array when there is none
 */
export function copyLogits(functionName: string, logits: Float32Array, out: Float32Array | undefined): Float32Array {
  expectFloat32(functionName, logits);
  const copy = out ?? new Float32Array(logits.length);
  if (!isFloat32Array(copy) || copy.length !== logits.length) {
    throw new ArgumentError({
      function: functionName,
      argument: 'out',
      expected: `a Float32Array of ${logits.length}`,
      got: copy,
    });
  }
  for (let id = 0; id < logits.length; id++) {
    // False for NaN too.
    if (!(logits[id]! <= largestFloat32)) rejectLogit(functionName, id, logits[id]!);
  }
  if (copy !== logits) copy.set(logits);
  return copy;
}

/** Writes one logit; one that left the float32 range upwards would make the softmax NaN. */
export function storeLogit(functionName: string, logits: Float32Array, id: number, value: number): void {
  logits[id] = value;
  if (!(logits[id]! <= largestFloat32)) rejectLogit(functionName, id, value);
}

/** The largest logit; -Infinity when every token is ruled out. */
export function largestLogit(logits: Float32Array): number {
  let largest = -Infinity;
  for (let id = 0; id < logits.length; id++) {
    if (logits[id]! > largest) largest = logits[id]!;
  }
  return largest;
}
