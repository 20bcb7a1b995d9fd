/**
 * The formats, from bytes of any source: for browsers, workers and Node.
 *
 * @module @phiblocks/weights
 */
export { type ByteSource, expectReadable } from './byte-source.ts';
export { configFromGguf } from './config/config-from-gguf.ts';
export { type ConfigErrorCode, configErrorCodes } from './config/error-codes.ts';
export { expectVocabularyFits } from './config/expect-vocabulary-fits.ts';
export type {
  ClipVisionConfig,
  CommonConfig,
  ModelConfig,
  Phi3Config,
  Phi3SmallConfig,
  Phi3VisionConfig,
  PhiMoeConfig,
  RopeScalingConfig,
} from './config/model-config.ts';
export {
  type GenerationConfig,
  type ParseGenerationConfigOptions,
  parseGenerationConfig,
} from './config/parse-generation-config.ts';
export { type ParseConfigOptions, parsePhi3Config } from './config/parse-phi3-config.ts';
export {
  type PreprocessorConfig,
  parsePreprocessorConfig,
} from './config/parse-preprocessor-config.ts';
export { createBlobSource } from './create-blob-source.ts';
export { createByteSource } from './create-byte-source.ts';
export { type WeightsErrorCode, weightsErrorCodes } from './error-codes.ts';
export { rejectForeignFile, rejectForeignSource } from './foreign-file.ts';
export {
  type BlockLayout,
  blockLayout,
  isWeightFormat,
  weightFormats,
  weightSizeInBytes,
} from './formats/block-layout.ts';
export { createWeightMatrix, decodeTensor } from './formats/weight-formats.ts';
export { type GgufErrorCode, ggufErrorCodes } from './gguf/error-codes.ts';
export { type GgufFileType, ggufFileTypeId } from './gguf/gguf-file-type.ts';
export type { GgufTensorDescription } from './gguf/gguf-layout.ts';
export type { GgufIntegerArray, GgufMetadata } from './gguf/gguf-metadata.ts';
export { type GgufModelMetadata, type GgufModelOptions, ggufMetadataOf } from './gguf/gguf-metadata-of.ts';
export type { GgufArray, GgufStoredType, GgufValue, GgufValueType, TypedGgufValue } from './gguf/gguf-value.ts';
export { type GgufVocabulary, ggufVocabulary, untrustedChatTemplate } from './gguf/gguf-vocabulary.ts';
export { type GgufVocabularyOptions, ggufVocabularyOf } from './gguf/gguf-vocabulary-of.ts';
export { type GgufFile, type GgufOptions, openGguf } from './gguf/open-gguf.ts';
export { openSplitGguf } from './gguf/open-split-gguf.ts';
export { checkpointTensorName, ggufTensorName } from './gguf/tensor-names.ts';
export { withCheckpointNames } from './gguf/with-checkpoint-names.ts';
export {
  encodeGguf,
  type GgufContents,
  type GgufTensorInMemory,
  type GgufTensorToWrite,
  writeGguf,
} from './gguf/write-gguf.ts';
export { type HttpSourceOptions, openHttpSource } from './open-http-source.ts';
export type { SafetensorsDtype } from './safetensors/dtypes.ts';
export type { SafetensorsMetadata, TensorDescription } from './safetensors/layout.ts';
export { openSafetensors, type SafetensorsOptions, type SafetensorsSource } from './safetensors/open-safetensors.ts';
export { openShardedSafetensors, type ShardedSafetensorsOptions } from './safetensors/open-sharded-safetensors.ts';
export { parseShardIndex, type ShardIndex } from './safetensors/parse-index.ts';
export {
  type ByteSink,
  encodeSafetensors,
  type TensorInMemory,
  type TensorToWrite,
  type WriteSafetensorsOptions,
  writeSafetensors,
} from './safetensors/write-safetensors.ts';
export { type JsonValue, parseStrictJson, type StrictJsonOptions } from './strict-json.ts';
export type { StoredTensor, WeightSource } from './weight-source.ts';
