import { Phi3Error } from '@phiblocks/tensor';
import type { Prompt, TokenCounter } from './sample.ts';

/** A gap below half of the promised 1 % is not worth tokenizing a long prompt once more for every ending. */
const closeEnough = 0.005;

/**
 * The largest prompt within a number of tokens. Built from `size` units of haystack (words, sentences, entries), of which
 * more are never fewer tokens but for a token or two where words meet; then topped up with the longest ending that fits.
 *
 * @param build - the prompt with so many units and an ending
 * @param endings - what may stand at the end of the haystack, any order; the empty ending need not be among them
 * @param topUps - how many endings may be put one behind the other
 * @throws Phi3Error `EV_LENGTH` when the smallest prompt does not fit
 */
export function fitLength<Built extends Prompt>(
  task: string,
  budget: number,
  countTokens: TokenCounter,
  build: (size: number, endings: readonly string[]) => Built,
  { smallest = 0, endings = [], topUps = 0 }: { smallest?: number; endings?: readonly string[]; topUps?: number } = {},
): { built: Built; promptTokens: number } {
  const tokensOf = (size: number): number => countTokens(build(size, []));
  const least = tokensOf(smallest);
  if (least > budget) {
    throw new Phi3Error({
      code: 'EV_LENGTH',
      function: task,
      argument: 'length',
      expected: `at least ${least} tokens for the question, besides those of the answer`,
      got: budget,
    });
  }
  // Secant steps bring the ends together in a few counts, each of which tokenizes the whole prompt; halving ends it.
  let low = smallest;
  let lowTokens = least;
  let high = smallest + 8;
  let highTokens = tokensOf(high);
  while (highTokens <= budget) {
    const perUnit = Math.max((highTokens - least) / (high - smallest), 1e-3);
    low = high;
    lowTokens = highTokens;
    high = Math.max(high + 8, Math.ceil(smallest + ((budget - least) / perUnit) * 1.02) + 4);
    highTokens = tokensOf(high);
  }
  for (let step = 0; high - low > 1; step++) {
    const share = step % 3 === 2 ? 0.5 : (budget - lowTokens) / (highTokens - lowTokens);
    const middle = Math.min(Math.max(low + Math.floor(share * (high - low)), low + 1), high - 1);
    const tokens = tokensOf(middle);
    if (tokens <= budget) {
      low = middle;
      lowTokens = tokens;
    } else {
      high = middle;
      highTokens = tokens;
    }
  }
  let built = build(low, []);
  let promptTokens = lowTokens;
  const chosen: string[] = [];
  for (let i = 0; i < topUps && budget - promptTokens > closeEnough * budget; i++) {
    let best: { ending: string; built: Built; tokens: number } | undefined;
    for (const ending of endings) {
      const candidate = build(low, [...chosen, ending]);
      const tokens = countTokens(candidate);
      if (tokens > promptTokens && tokens <= budget && tokens > (best?.tokens ?? 0)) {
        best = { ending, built: candidate, tokens };
      }
    }
    if (best === undefined) break;
    chosen.push(best.ending);
    built = best.built;
    promptTokens = best.tokens;
  }
  return { built, promptTokens };
}
