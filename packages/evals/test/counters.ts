import type { Prompt, TokenCounter } from '../src/index.ts';

/** Words and signs: what a large vocabulary makes of plain text. */
export const countWords: TokenCounter = ({ prompt, answerPrefix }: Prompt) =>
  (prompt + answerPrefix).match(/[A-Za-z]+|\d|[^\sA-Za-z\d]|\n/g)?.length ?? 0;

/** Pieces of at most three letters: what a small vocabulary makes of it. */
export const countPieces: TokenCounter = ({ prompt, answerPrefix }: Prompt) =>
  (prompt + answerPrefix).match(/[A-Za-z]{1,3}|\d|[^\sA-Za-z\d]|\n/g)?.length ?? 0;

/** Bytes: no vocabulary at all. */
export const countBytes: TokenCounter = ({ prompt, answerPrefix }: Prompt) =>
  new TextEncoder().encode(prompt + answerPrefix).length;
