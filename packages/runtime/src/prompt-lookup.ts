import { ArgumentError, expectKnownOptions } from '@phiblocks/tensor';

/** How tokens are guessed from the text so far; see {@link findDraft}. */
export interface PromptLookupOptions {
  /** The longest ending to look for, in tokens. Default 3. */
  readonly maxNgram?: number | undefined;
  /** How many tokens to guess at most. Default 8. */
  readonly maxDraft?: number | undefined;
}

/** What came of guessing. */
export interface DraftUsage {
  readonly draftTokens: number;
  /** Guesses that were the tokens chosen, and so cost no pass of their own. */
  readonly acceptedDraftTokens: number;
}

/**
 * Checks the options and fills in what is absent.
 *
 * @throws Phi3Error `OPTION_UNKNOWN`
 * @throws ArgumentError `ARGUMENT` unless both are whole numbers from 1 to 64
 */
export function resolvePromptLookup(options: PromptLookupOptions): Required<PromptLookupOptions> {
  expectKnownOptions('generate', options, ['maxNgram', 'maxDraft']);
  const { maxNgram = 3, maxDraft = 8 } = options;
  for (const [name, value] of Object.entries({ maxNgram, maxDraft })) {
    if (Number.isInteger(value) && value >= 1 && value <= 64) continue;
    const argument = `promptLookup.${name}`;
    throw new ArgumentError({ function: 'generate', argument, expected: 'a whole number from 1 to 64', got: value });
  }
  return { maxNgram, maxDraft };
}

/**
 * Guesses what follows a text: what followed the last time that its ending occurred in it. The longest ending that occurred
 * before counts, and of its occurrences the latest. Texts that repeat their prompt (summaries, edits, code) are guessed well.
 *
 * Source: Saxena, "Prompt Lookup Decoding" (github.com/apoorvumang/prompt-lookup-decoding), where the first occurrence counts.
 *
 * @param ids - the text so far
 * @param options - `maxNgram`: longest ending to look for; `maxDraft`: most tokens to guess
 * @returns the guess; empty when no ending of the text occurred before
 * @example
 * findDraft([7, 8, 9, 5, 7, 8], { maxNgram: 3, maxDraft: 2 }); // => [9, 5]
 * findDraft([1, 2, 3], { maxNgram: 3, maxDraft: 2 }); // => []
 */
export function findDraft(
  ids: readonly number[],
  { maxNgram, maxDraft }: { readonly maxNgram: number; readonly maxDraft: number },
): number[] {
  const end = ids.length;
  let bestLength = 0;
  let bestAfter = 0;
  // `after` is where an earlier occurrence of the ending would be over.
  for (let after = end - 1; after > 0 && bestLength < maxNgram; after--) {
    let length = 0;
    while (length < maxNgram && length < after && ids[after - 1 - length] === ids[end - 1 - length]) length++;
    if (length > bestLength) {
      bestLength = length;
      bestAfter = after;
    }
  }
  return bestLength === 0 ? [] : ids.slice(bestAfter, bestAfter + maxDraft);
}
