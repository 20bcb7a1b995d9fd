export { combineExperts } from './combine-experts.ts';
export { mixtureOfExpertsErrorCodes } from './errors.ts';
export { type ExpertGroup, groupTokensByExpert } from './group-tokens-by-expert.ts';
export { routeSparseMixer, type SparseMixerOptions, type SparseMixerRouting } from './route-sparse-mixer.ts';
