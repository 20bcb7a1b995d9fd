import { copyLogits, expectIds, expectWholeNumber, rejectId } from './checks.ts';
import { historyLength, idAt, type TokenHistory } from './history.ts';

/**
 * Rules out every token that would complete an n-gram that already occurs in prompt and answer together.
 *
 * Source: `NoRepeatNGramLogitsProcessor` of transformers (after fairseq).
 *
 * @param logits - `[V]`
 * @param history - prompt and answer so far, one sequence
 * @param size - length n of the n-grams; 1 rules out every token that occurred, 0 changes nothing
 * @param out - `[V]`; may be `logits`; allocated when absent
 * @returns `out`
 * @throws ArgumentError `ARGUMENT` for a size that is not a whole number, or an id outside the vocabulary
 * @throws Phi3Error `NUM_NAN` for a logit that is NaN or +Infinity
 * @example
 * // 5 6 7 … 5 6: another 7 would repeat the three.
 * const history = { promptIds: [5, 6, 7], generatedIds: [5, 6] };
 * applyNoRepeatNgram(new Float32Array(8), history, 3); // => [0, 0, 0, 0, 0, 0, 0, -Infinity]
 */
export function applyNoRepeatNgram(
  logits: Float32Array,
  history: TokenHistory,
  size: number,
  out?: Float32Array,
): Float32Array {
  expectWholeNumber('applyNoRepeatNgram', 'size', size);
  const result = copyLogits('applyNoRepeatNgram', logits, out);
  if (size > 0) ruleOutRepeatedNgrams(result, history, size, 'applyNoRepeatNgram');
  return result;
}

/** {@link applyNoRepeatNgram} in place; `size` is at least 1. */
export function ruleOutRepeatedNgrams(
  logits: Float32Array,
  history: TokenHistory,
  size: number,
  functionName: string,
): void {
  expectIds(functionName, 'history.promptIds', history.promptIds);
  expectIds(functionName, 'history.generatedIds', history.generatedIds);
  const length = historyLength(history);
  // The n - 1 newest tokens start the n-gram that the next token would complete.
  const prefixStart = length - (size - 1);
  for (let start = 0; start + size <= length; start++) {
    let offset = 0;
    while (offset < size - 1 && idAt(history, start + offset) === idAt(history, prefixStart + offset)) offset++;
    if (offset < size - 1) continue;
    const id = idAt(history, start + size - 1);
    if (id < 0) continue;
    if (!Number.isInteger(id) || id >= logits.length) {
      rejectId(functionName, `history[${start + size - 1}]`, id, logits.length);
    }
    logits[id] = -Infinity;
  }
}
