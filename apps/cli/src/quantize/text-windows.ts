import type { LanguageModel } from '@phiblocks/runtime';
import { Phi3Error } from '@phiblocks/tensor';
import { UsageError } from '../usage-error.ts';

/** As many tokens as are run in one session; longer texts are cut, each window starting afresh. */
const longestWindow = 512;

/** A text as ids, in windows that the model can hold. Each begins with the tokens that the tokenizer puts in front. */
export function textWindows(
  model: LanguageModel,
  text: string,
  purpose: string,
  mostTokens = Number.POSITIVE_INFINITY,
): { windows: Int32Array[]; numTokens: number; tokensInText: number } {
  const { tokenizer, name } = model;
  if (!tokenizer) {
    throw new Phi3Error({
      code: 'TOKENIZER_MISSING',
      function: 'quantize',
      expected: `a checkpoint with a tokenizer, to read the ${purpose} text`,
      where: { file: name },
    });
  }
  const prefix = tokenizer.encode('');
  const ids = tokenizer.encode(text, { addSpecialTokens: false, parseSpecialTokens: false });
  const length = Math.min(longestWindow, model.config.maxPositionEmbeddings) - prefix.length;
  const used = Math.min(ids.length, mostTokens);
  const windows: Int32Array[] = [];
  for (let start = 0; start < used; start += length) {
    const window = Int32Array.from([...prefix, ...ids.slice(start, Math.min(start + length, used))]);
    if (window.length >= 2) windows.push(window);
  }
  if (windows.length === 0) throw new UsageError(`the ${purpose} text is too short: it has ${ids.length} tokens`);
  const numTokens = windows.reduce((sum, window) => sum + window.length, 0);
  return { windows, numTokens, tokensInText: ids.length };
}
