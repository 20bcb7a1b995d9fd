import { ArgumentError } from '@phiblocks/tensor';
import { copyLogits, expectNumber, expectWholeNumber, rejectId, storeLogit } from './checks.ts';

/** What to add to the logits of some tokens, by id. `-Infinity` rules a token out. */
export type LogitBias = ReadonlyMap<number, number> | Readonly<Record<number, number>>;

/**
 * Adds a number to the logits of some tokens.
 *
 * Source: `logit_bias` of the OpenAI API; `SequenceBiasLogitsProcessor` of transformers for sequences of one token.
 *
 * @param logits - `[V]`
 * @param bias - id to number; `-Infinity` rules a token out
 * @param out - `[V]`; may be `logits`; allocated when absent
 * @returns `out`
 * @throws ArgumentError `ARGUMENT` for an id outside the vocabulary, or a bias that is NaN or +Infinity
 * @throws Phi3Error `NUM_NAN` for a logit that is NaN or +Infinity, or becomes so
 * @example
 * applyLogitBias(Float32Array.of(1, 2, 3), { 0: 5, 2: -Infinity }); // => [6, 2, -Infinity]
 */
export function applyLogitBias(logits: Float32Array, bias: LogitBias, out?: Float32Array): Float32Array {
  const entries = parseLogitBias('applyLogitBias', 'bias', bias);
  const result = copyLogits('applyLogitBias', logits, out);
  addLogitBias(result, entries, 'applyLogitBias', 'bias');
  return result;
}

/** A checked bias, in arrays. */
export interface BiasEntries {
  readonly ids: readonly number[];
  readonly values: readonly number[];
}

/** Reads a bias, a map or a record, whose ids are checked against the vocabulary only where it is known. */
export function parseLogitBias(functionName: string, argument: string, bias: LogitBias): BiasEntries {
  if (typeof bias !== 'object' || bias === null || Array.isArray(bias)) {
    throw new ArgumentError({ function: functionName, argument, expected: 'a Map or a record', got: bias });
  }
  const ids: number[] = [];
  const values: number[] = [];
  const entries: Iterable<[unknown, unknown]> = bias instanceof Map ? bias : Object.entries(bias);
  for (const [key, value] of entries) {
    // Number('') is 0 and Number('1e1') is 10: only plain digits are an id.
    const id = typeof key === 'string' && /^\d+$/.test(key) ? Number(key) : key;
    if (typeof id !== 'number') rejectId(functionName, `${argument}[${String(key)}]`, key, 2 ** 31);
    expectWholeNumber(functionName, `${argument}[${String(key)}]`, id);
    expectNumber(functionName, `${argument}[${id}]`, value, 'a number or -Infinity', (v) => v < Infinity);
    ids.push(id);
    values.push(value as number);
  }
  return { ids, values };
}

/** {@link applyLogitBias} in place, on what {@link parseLogitBias} has read. */
export function addLogitBias(logits: Float32Array, bias: BiasEntries, functionName: string, argument: string): void {
  for (let i = 0; i < bias.ids.length; i++) {
    const id = bias.ids[i]!;
    if (id >= logits.length) rejectId(functionName, `${argument}[${id}]`, id, logits.length);
    storeLogit(functionName, logits, id, logits[id]! + bias.values[i]!);
  }
}
