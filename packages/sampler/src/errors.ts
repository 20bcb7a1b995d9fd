/** Every error code that this package throws, and what it means. */
export const samplerErrorCodes = {
  NUM_NAN: 'A logit is NaN or +Infinity, or a step drove one past the float32 range: no token may come of it.',
  SAMPLER_EMPTY: 'Every token is ruled out (-Infinity), or there are no logits at all.',
  OPTION_UNKNOWN: 'An option name that the sampler does not know.',
  ARGUMENT: 'An option or argument outside its range or of the wrong kind.',
} as const;
