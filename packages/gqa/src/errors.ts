/** Codes that this package adds to `ARGUMENT`, `SHAPE` and `OPTION_UNKNOWN`. */
export const gqaErrorCodes = {
  KV_COMMIT: 'A commit counts more or other positions than were appended to every layer.',
  OOM: 'The memory for the cache could not be had.',
} as const;
