import type { TaskInput } from './sample.ts';

/** From here on the published allowances hold; RULER has no shorter length. */
const shortestPublishedLength = 4096;

/**
 * Tokens for an answer: what the caller says, else the published number. Below 4,096 tokens that would leave little of the
 * length: there twice what the references take and 8 more, up to the published number.
 */
export function answerAllowance(input: TaskInput, published: number, references: readonly string[]): number {
  if (input.maxNewTokens !== undefined) return input.maxNewTokens;
  if (input.length >= shortestPublishedLength) return published;
  const needed = input.countTokens({ prompt: '', answerPrefix: references.join(', ') });
  return Math.min(published, 2 * needed + 8);
}
