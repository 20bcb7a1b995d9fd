export { chatTemplateSource } from './chat-template-source.ts';
export { type Checkpoint, type CheckpointFiles, openCheckpointFiles, openGgufCheckpoint } from './checkpoint.ts';
export { runtimeErrorCodes } from './error-codes.ts';
export { familyMember } from './family-member.ts';
export {
  collect,
  type FinishReason,
  type GeneratedToken,
  type GenerateOptions,
  type Generation,
  type GenerationEnd,
  type Timings,
  type Usage,
} from './generate.ts';
export { createLanguageModel, type LanguageModel, type LanguageModelOptions } from './language-model.ts';
export { cacheBytesPerToken, estimateMemory, type MemoryEstimate } from './memory-estimate.ts';
export type { CausalLanguageModel } from './models/causal-language-model.ts';
export { createPhi3, type Phi3Options, type Phi3Source } from './models/create-phi3.ts';
export type { ForwardOptions } from './models/forward-options.ts';
export type { LoadOptions, LoadProgress, TensorPlan } from './models/load-weights.ts';
export {
  forwardPhi3,
  type Phi3,
  type Phi3AttentionInput,
  type Phi3Layer,
  type Phi3SelfAttention,
  type Phi3Weights,
  phi3SelfAttention,
} from './models/phi3.ts';
export { phi3TensorPlan } from './models/phi3-weights.ts';
export { createReferenceBackend, type ReferenceBackend } from './reference-backend.ts';
export type { AdvanceOptions, PrefillProgress } from './sequence.ts';
export { createSession, type Session, type SessionOptions } from './session.ts';
export { createStopStringFilter, type StopStringFilter } from './stop-strings.ts';
