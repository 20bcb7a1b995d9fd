import { copyLogits, expectNumber, storeLogit } from './checks.ts';
import { countTokens, uncountTokens } from './count-tokens.ts';

/**
 * Lowers the logit of every token of the answer so far by the same amount however often it occurs. The prompt does not count.
 *
 * Source: `presence_penalty` of the OpenAI API; vLLM applies it in the same way.
 *
 * @param logits - `[V]`
 * @param generatedIds - the answer so far
 * @param penalty - any finite number; a negative one makes repetition likelier
 * @param out - `[V]`; may be `logits`; allocated when absent
 * @returns `out`
 * @throws ArgumentError `ARGUMENT` for a penalty that is not finite, or an id outside the vocabulary
 * @throws Phi3Error `NUM_NAN` for a logit that is NaN or +Infinity, or becomes so
 * @example
 * applyPresencePenalty(Float32Array.of(1, 1, 1), [0, 2, 2], 0.5); // => [0.5, 1, 0.5]
 */
export function applyPresencePenalty(
  logits: Float32Array,
  generatedIds: ArrayLike<number>,
  penalty: number,
  out?: Float32Array,
): Float32Array {
  expectNumber('applyPresencePenalty', 'penalty', penalty, 'a finite number', Number.isFinite);
  const result = copyLogits('applyPresencePenalty', logits, out);
  penalizePresence(
    result,
    generatedIds,
    penalty,
    new Uint32Array(result.length),
    'applyPresencePenalty',
    'generatedIds',
  );
  return result;
}

/** {@link applyPresencePenalty} in place; `counts` `[V]` is all zeros before and after. */
export function penalizePresence(
  logits: Float32Array,
  generatedIds: ArrayLike<number>,
  penalty: number,
  counts: Uint32Array,
  functionName: string,
  argument: string,
): void {
  countTokens(generatedIds, counts, functionName, argument);
  try {
    for (let i = 0; i < generatedIds.length; i++) {
      const id = generatedIds[i]!;
      if (id < 0 || counts[id] === 0) continue;
      const logit = logits[id]! - penalty;
      // The first occurrence is the one that counts.
      counts[id] = 0;
      storeLogit(functionName, logits, id, logit);
    }
  } finally {
    uncountTokens(generatedIds, counts);
  }
}
