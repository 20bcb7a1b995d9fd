/** Codes that this package adds to `ARGUMENT` and `OPTION_UNKNOWN`. */
export const evalsErrorCodes = {
  ABORTED: 'The signal stopped the evaluation; what was complete was reported.',
  EV_LENGTH: 'A task cannot be made as short as was asked: its question alone takes more tokens.',
  EV_QUESTIONS: 'A line of a file of multiple-choice questions is not a question.',
  EV_RESULT: 'A result to go on from is broken, or answers another specification.',
  EV_SUITE: 'There is no suite or task of that name.',
  EV_TEXT: 'A text has too few tokens to measure anything.',
} as const;
