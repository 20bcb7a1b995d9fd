/** Every error code that this package adds to those of the tensor package, and what it means. */
export const mixtureOfExpertsErrorCodes = {
  NUM_NAN: 'A router score is NaN or infinite: no expert may be chosen by it.',
} as const;
