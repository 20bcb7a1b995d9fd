export { applyRotary } from './apply-rotary.ts';
export { attentionFactor } from './attention-factor.ts';
export { type FactorList, type RopeScaling, type RotaryConfig, rotaryDim, validateRotaryConfig } from './config.ts';
export { longropeErrorCodes } from './errors.ts';
export { inverseFrequencies } from './inverse-frequencies.ts';
export { crossesBoundary, type RopePolicy, type SequenceLengths, selectFactorList } from './policy.ts';
export { createRotaryTable, type RotaryTable, type RotaryTableOptions } from './rotary-table.ts';
