import { ArgumentError, expectKnownOptions, Phi3Error } from '@phiblocks/tensor';
import { aborted, type EvaluatedModel } from './evaluated-model.ts';

export interface PerplexityOptions {
  /** Tokens that a window holds. Default: what the model holds. */
  readonly contextLength?: number | undefined;
  /** Tokens by which windows move on. Default: half a window, so that every token but the first ones sees that much. */
  readonly stride?: number | undefined;
  /** Only so many tokens from the start of the text. Default: all. */
  readonly maxTokens?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told after each window how many of the tokens have been scored. */
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
}

export interface PerplexityResult {
  /** `exp(-sum of log probabilities / scoredTokens)` */
  readonly perplexity: number;
  /** Every token but the first one of the text, each scored once. */
  readonly scoredTokens: number;
  /** Tokens of the text that were read, what the tokenizer puts in front included. */
  readonly tokens: number;
  readonly tokensInText: number;
  readonly negativeLogLikelihood: number;
  readonly windows: number;
}

/**
 * Perplexity of a text by sliding windows: each token is scored once, after at least `contextLength - stride` tokens where
 * there are as many.
 *
 * @param model - from `evaluatedModel`, or anything that gives log probabilities
 * @param text - or its ids
 * @param options - window, stride, progress
 * @throws ArgumentError `ARGUMENT`; Phi3Error `EV_TEXT` for fewer than two tokens, `ABORTED`
 * @example
 * // A model that finds every token equally likely among 10:
 * const uniform = { contextLength: 8, logProbabilities: async (ids, from) => new Float64Array(ids.length - from).fill(-Math.log(10)) };
 * const { perplexity: measured, scoredTokens } = await perplexity(uniform, Int32Array.from({ length: 30 }, (_, i) => i));
 * measured; // => 10
 * scoredTokens; // => 29
 */
export async function perplexity(
  model: Pick<EvaluatedModel, 'contextLength' | 'logProbabilities'> & Partial<Pick<EvaluatedModel, 'encode'>>,
  text: string | Int32Array,
  options: PerplexityOptions = {},
): Promise<PerplexityResult> {
  expectKnownOptions('perplexity', options, ['contextLength', 'stride', 'maxTokens', 'signal', 'onProgress']);
  const { contextLength = model.contextLength, maxTokens = Number.POSITIVE_INFINITY, signal, onProgress } = options;
  expectWhole('contextLength', contextLength, 2, model.contextLength);
  const stride = options.stride ?? Math.max(1, Math.floor(contextLength / 2));
  // A window scores what is behind the one before it, and needs one token to start from.
  expectWhole('stride', stride, 1, contextLength - 1);
  if (options.maxTokens !== undefined) expectWhole('maxTokens', maxTokens, 2, Number.MAX_SAFE_INTEGER);
  const all = typeof text === 'string' ? encodeWith(model, text) : text;
  const ids = all.subarray(0, Math.min(all.length, maxTokens));
  if (ids.length < 2) {
    throw new Phi3Error({
      code: 'EV_TEXT',
      function: 'perplexity',
      argument: 'text',
      expected: 'at least 2 tokens',
      got: ids.length,
    });
  }
  let sum = 0;
  let scored = 1; // the first token has nothing before it
  let windows = 0;
  while (scored < ids.length) {
    if (signal?.aborted) throw aborted('perplexity', signal);
    const end = windows === 0 ? Math.min(contextLength, ids.length) : Math.min(scored + stride, ids.length);
    const start = Math.max(0, end - contextLength);
    const window = ids.subarray(start, end);
    for (const one of await model.logProbabilities(window, scored - start, signal)) sum -= one;
    scored = end;
    windows++;
    onProgress?.({ done: scored, total: ids.length });
  }
  const scoredTokens = ids.length - 1;
  return {
    perplexity: Math.exp(sum / scoredTokens),
    scoredTokens,
    tokens: ids.length,
    tokensInText: all.length,
    negativeLogLikelihood: sum,
    windows,
  };
}

function encodeWith(model: Partial<Pick<EvaluatedModel, 'encode'>>, text: string): Int32Array {
  if (model.encode) return model.encode(text);
  throw new ArgumentError({
    function: 'perplexity',
    argument: 'text',
    expected: 'ids, because the model given has no encode',
    got: text,
  });
}

function expectWhole(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new ArgumentError({
    function: 'perplexity',
    argument: `options.${name}`,
    expected: `a whole number from ${least} to ${most}`,
    got: value,
  });
}
