export { applyRotary } from './apply-rotary.ts';
export { attentionFactor } from './attention-factor.ts';
export {
  ntkFactors,
  plainFactors,
  positionInterpolationFactors,
  rescaleFactors,
  type YarnRamp,
  yarnFactors,
  yarnLikeFactors,
} from './closed-form-factors.ts';
export { type FactorList, type RopeScaling, type RotaryConfig, rotaryDim, validateRotaryConfig } from './config.ts';
export type { ContextExtension } from './context-extension.ts';
export { longropeErrorCodes } from './errors.ts';
export {
  type FactorSearchOptions,
  type FactorSearchSettings,
  type FactorSearchVariant,
  factorSearchSettings,
} from './factor-search-options.ts';
export type { EvaluatedFactors, FactorSearchState } from './factor-search-state.ts';
export { inverseFrequencies } from './inverse-frequencies.ts';
export { crossesBoundary, type RopePolicy, type SequenceLengths, selectFactorList } from './policy.ts';
export { createRotaryTable, type RotaryTable, type RotaryTableOptions } from './rotary-table.ts';
export {
  type FactorObjective,
  type FactorSearchProgress,
  type FactorSearchResult,
  type FactorSearchRun,
  resumeFactorSearch,
  searchFactors,
} from './search-factors.ts';
