/**
 * Models and their parts, from bytes of any source: for browsers, workers and Node.
 *
 * @module @phiblocks/runtime
 */
export { type OpenAtUrlOptions, openCheckpointAtUrl } from './browser/open-checkpoint-at-url.ts';
export { openCheckpointInOpfs, type ReadableOpfsFolder } from './browser/open-checkpoint-in-opfs.ts';
export { type NamedBlob, openCheckpointOfFiles } from './browser/open-checkpoint-of-files.ts';
export { cacheBytesPerStep, weightBytesPerToken } from './bytes-per-token.ts';
export { chatTemplateSource } from './chat-template-source.ts';
export { type Checkpoint, type CheckpointFiles, openCheckpointFiles, openGgufCheckpoint } from './checkpoint.ts';
export {
  type BackendChoice,
  type BackendName,
  type ChosenBackend,
  type ChosenBackendReport,
  chooseBackend,
} from './choose-backend.ts';
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
export { decodeInBrowser, type ImageDecoder, type ImageInput, readImage } from './images/read-image.ts';
export { createLanguageModel, type LanguageModel, type LanguageModelOptions } from './language-model.ts';
export { cacheBytesPerToken, estimateMemory, type MemoryEstimate } from './memory-estimate.ts';
export type { AttentionInput, SelfAttention } from './models/attention-input.ts';
export type { Biased, MaybeBiased } from './models/biased.ts';
export type { CausalLanguageModel, EncodeImageOptions, ImageEncoder } from './models/causal-language-model.ts';
export { createPhiMoe, type PhiMoeOptions, type PhiMoeSource } from './models/create-phi-moe.ts';
export { createPhi3, type Phi3Options, type Phi3Source } from './models/create-phi3.ts';
export { createPhi3Small, type Phi3SmallOptions, type Phi3SmallSource } from './models/create-phi3-small.ts';
export { createPhi3Vision, type Phi3VisionOptions, type Phi3VisionSource } from './models/create-phi3-vision.ts';
export type { ExpertKeys, Experts } from './models/experts.ts';
export type { ForwardOptions, ImageRows } from './models/forward-options.ts';
export type { LoadOptions, LoadProgress, TensorPlan, WeightLoader } from './models/load-weights.ts';
export { permuteElements, permuteRows } from './models/permute-rows.ts';
export {
  forwardPhiMoe,
  type PhiMoe,
  type PhiMoeAttentionInput,
  type PhiMoeLayer,
  type PhiMoeSelfAttention,
  type PhiMoeWeights,
  phiMoeSelfAttention,
} from './models/phi-moe.ts';
export { expertKeys, loadPhiMoeWeights, phiMoeTensorPlan } from './models/phi-moe-weights.ts';
export {
  forwardPhi3,
  type Phi3,
  type Phi3AttentionInput,
  type Phi3LanguageConfig,
  type Phi3Layer,
  type Phi3SelfAttention,
  type Phi3Weights,
  phi3SelfAttention,
} from './models/phi3.ts';
export {
  forwardPhi3Small,
  type Phi3Small,
  type Phi3SmallAttentionInput,
  type Phi3SmallLayer,
  type Phi3SmallSelfAttention,
  type Phi3SmallWeights,
  phi3SmallSelfAttention,
} from './models/phi3-small.ts';
export {
  gateUpOrder,
  loadPhi3SmallWeights,
  phi3SmallTensorPlan,
  queryKeyValueOrder,
} from './models/phi3-small-weights.ts';
export {
  type ClipLayer,
  encodeImage,
  forwardPhi3Vision,
  type ImageWeights,
  type Phi3Vision,
} from './models/phi3-vision.ts';
export { loadImageWeights, phi3VisionTensorPlan } from './models/phi3-vision-weights.ts';
export { loadPhi3Weights, phi3TensorPlan } from './models/phi3-weights.ts';
export { rotaryConfigOf } from './models/rotary-config.ts';
export type { PlannedModel } from './plan-memory.ts';
export { type DraftUsage, findDraft, type PromptLookupOptions } from './prompt-lookup.ts';
export { type ReadAttentionOptions, readAttention } from './read-attention.ts';
export { createReferenceBackend, type ReferenceBackend, type ReferenceMemory } from './reference-backend.ts';
export {
  type AdvanceOptions,
  createSequence,
  type PrefillProgress,
  type Sequence,
  type SequenceOptions,
} from './sequence.ts';
export {
  createSession,
  restoreSession,
  type Session,
  type SessionAdvanceOptions,
  type SessionOptions,
} from './session.ts';
export type { SaveOptions } from './session-file.ts';
export { createStopStringFilter, type StopStringFilter } from './stop-strings.ts';
export {
  createPhi3Worker,
  type Phi3Worker,
  type Phi3WorkerOptions,
  type WorkerLanguageModel,
  type WorkerSession,
} from './worker/create-phi3-worker.ts';
export type { MessageEndpoint } from './worker/message-endpoint.ts';
export type {
  CheckpointPlace,
  ModelDescription,
  SessionState,
  WorkerMemory,
  WorkerModelOptions,
} from './worker/protocol.ts';
export type { IgnoredMessages } from './worker/sequence-filter.ts';
