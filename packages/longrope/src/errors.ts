/** Codes that this package adds to `ARGUMENT`, `SHAPE` and `OPTION_UNKNOWN`. */
export const longropeErrorCodes = {
  LR_NO_FACTORS: 'A factor list was asked for, but the configuration has no ropeScaling.',
  LR_LIST_MISSING: 'The configuration has two factor lists and the call does not say which one to use.',
  LR_CAPACITY: 'The length lies above the capacity from which the policy `capacity` chose its list.',
  LR_SEARCH_OBJECTIVE: 'The objective of a factor search gave something that is no finite number.',
  LR_SEARCH_STATE: 'The state of a factor search is broken, or of a search that proposes other factors.',
  ABORTED: 'The signal stopped the search; the last state that was reported can be resumed.',
} as const;
