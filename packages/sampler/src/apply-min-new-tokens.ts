import { copyLogits, expectIds, expectWholeNumber, rejectId } from './checks.ts';

/**
 * Rules out the tokens that end an answer until it has a minimum length.
 *
 * Source: `MinNewTokensLengthLogitsProcessor` of transformers. The prompt does not count.
 *
 * @param logits - `[V]`
 * @param numGenerated - tokens generated so far
 * @param minNewTokens - tokens to generate before an end token may come
 * @param eosTokenIds - the tokens that end an answer
 * @param out - `[V]`; may be `logits`; allocated when absent
 * @returns `out`
 * @throws ArgumentError `ARGUMENT` for counts that are not whole numbers, or an id outside the vocabulary
 * @throws Phi3Error `NUM_NAN` for a logit that is NaN or +Infinity
 * @example
 * applyMinNewTokens(Float32Array.of(1, 2, 3), 0, 1, [2]); // => [1, 2, -Infinity]
 * applyMinNewTokens(Float32Array.of(1, 2, 3), 1, 1, [2]); // => [1, 2, 3]
 */
export function applyMinNewTokens(
  logits: Float32Array,
  numGenerated: number,
  minNewTokens: number,
  eosTokenIds: ArrayLike<number>,
  out?: Float32Array,
): Float32Array {
  expectWholeNumber('applyMinNewTokens', 'numGenerated', numGenerated);
  expectWholeNumber('applyMinNewTokens', 'minNewTokens', minNewTokens);
  expectIds('applyMinNewTokens', 'eosTokenIds', eosTokenIds);
  const result = copyLogits('applyMinNewTokens', logits, out);
  if (numGenerated < minNewTokens) ruleOutTokens(result, eosTokenIds, 'applyMinNewTokens', 'eosTokenIds');
  return result;
}

/** Rules tokens out, in place. */
export function ruleOutTokens(
  logits: Float32Array,
  ids: ArrayLike<number>,
  functionName: string,
  argument: string,
): void {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (!Number.isInteger(id) || id < 0 || id >= logits.length) {
      rejectId(functionName, `${argument}[${i}]`, id, logits.length);
    }
    logits[id] = -Infinity;
  }
}
