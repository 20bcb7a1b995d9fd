export { type ByteSource, expectReadable } from './byte-source.ts';
export { createBlobSource } from './create-blob-source.ts';
export { createByteSource } from './create-byte-source.ts';
export { type WeightsErrorCode, weightsErrorCodes } from './error-codes.ts';
export { rejectForeignFile, rejectForeignSource } from './foreign-file.ts';
export { createWeightMatrix, decodeTensor } from './formats/weight-formats.ts';
export type { SafetensorsDtype } from './safetensors/dtypes.ts';
export type { SafetensorsMetadata, TensorDescription } from './safetensors/layout.ts';
export { openSafetensors, type SafetensorsOptions, type SafetensorsSource } from './safetensors/open-safetensors.ts';
export { openShardedSafetensors, type ShardedSafetensorsOptions } from './safetensors/open-sharded-safetensors.ts';
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
