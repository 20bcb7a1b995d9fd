/** What a model reads: a question, and how its answer begins. */
export interface Prompt {
  readonly prompt: string;
  /** Stands behind the marker of the assistant (or right behind the prompt), so that the model goes on with an answer. */
  readonly answerPrefix: string;
}

/**
 * How many tokens a model reads for a prompt, with everything that its format adds. Handed in, because only the tokenizer
 * knows.
 */
export type TokenCounter = (prompt: Prompt) => number;

/** How an output is scored; see {@link scoreOutput}. */
export type Scoring = 'all' | 'first-integer';

/** One question of a long-context task with its answer. */
export interface TaskSample extends Prompt {
  readonly task: string;
  /** The length that was asked for: prompt and generated tokens. */
  readonly length: number;
  readonly index: number;
  /** Tokens of the prompt as counted, answer prefix included. */
  readonly promptTokens: number;
  /** Tokens that may be generated. */
  readonly maxNewTokens: number;
  readonly references: readonly string[];
  readonly scoring: Scoring;
  /** Where the needle is, in percent of the haystack; for tasks with one needle. */
  readonly depthPercent?: number | undefined;
}

/** What a task is made from. */
export interface TaskInput {
  /** Tokens in all, prompt and answer. */
  readonly length: number;
  readonly seed: number;
  /** Which sample of this length, from 0. */
  readonly index: number;
  readonly countTokens: TokenCounter;
  /** Tokens for the answer, where it is not what the task allows. */
  readonly maxNewTokens?: number | undefined;
  /** Where to put the needle in percent, for tasks with one needle; drawn when absent. */
  readonly depthPercent?: number | undefined;
}
