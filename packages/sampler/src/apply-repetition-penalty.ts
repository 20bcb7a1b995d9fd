import { copyLogits, expectNumber, storeLogit } from './checks.ts';
import { countTokens, uncountTokens } from './count-tokens.ts';
import { historyLength, idAt, type TokenHistory } from './history.ts';

/**
 * Makes every token that occurs in the prompt or in the answer so far less likely: a positive logit is divided by the
 * penalty, a negative one multiplied, once per token however often it occurs. A penalty below 1 makes them likelier.
 *
 * Source: CTRL, arXiv:1909.05858 §4.1; `RepetitionPenaltyLogitsProcessor` of transformers.
 *
 * @param logits - `[V]`
 * @param history - prompt and answer so far; negative ids are passed over
 * @param penalty - above 0; 1 changes nothing
 * @param out - `[V]`; may be `logits`; allocated when absent
 * @returns `out`
 * @throws ArgumentError `ARGUMENT` for a penalty that is not above 0, or an id outside the vocabulary
 * @throws Phi3Error `NUM_NAN` for a logit that is NaN or +Infinity, or becomes so
 * @example
 * applyRepetitionPenalty(Float32Array.of(3, -3, 3), { promptIds: [0], generatedIds: [1, 1] }, 2); // => [1.5, -6, 3]
 */
export function applyRepetitionPenalty(
  logits: Float32Array,
  history: TokenHistory,
  penalty: number,
  out?: Float32Array,
): Float32Array {
  expectRepetitionPenalty('applyRepetitionPenalty', 'penalty', penalty);
  const result = copyLogits('applyRepetitionPenalty', logits, out);
  penalizeRepetition(result, history, penalty, new Uint32Array(result.length), 'applyRepetitionPenalty');
  return result;
}

/** Throws unless the penalty is above 0. */
export function expectRepetitionPenalty(functionName: string, argument: string, penalty: unknown): void {
  expectNumber(functionName, argument, penalty, 'a number above 0', (p) => p > 0 && p < Infinity);
}

/** {@link applyRepetitionPenalty} in place; `counts` `[V]` is all zeros before and after. */
export function penalizeRepetition(
  logits: Float32Array,
  history: TokenHistory,
  penalty: number,
  counts: Uint32Array,
  functionName: string,
): void {
  const { promptIds, generatedIds } = history;
  countTokens(promptIds, counts, functionName, 'history.promptIds');
  try {
    countTokens(generatedIds, counts, functionName, 'history.generatedIds');
    const length = historyLength(history);
    for (let position = 0; position < length; position++) {
      const id = idAt(history, position);
      if (id < 0 || counts[id] === 0) continue;
      // The first occurrence is the one that counts.
      counts[id] = 0;
      const logit = logits[id]!;
      storeLogit(functionName, logits, id, logit < 0 ? logit * penalty : logit / penalty);
    }
  } finally {
    uncountTokens(promptIds, counts);
    uncountTokens(generatedIds, counts);
  }
}
