export type { ByteSource } from './byte-source.ts';
export { type WeightsErrorCode, weightsErrorCodes } from './error-codes.ts';
export { createWeightMatrix, decodeTensor } from './formats/weight-formats.ts';
export { type JsonValue, parseStrictJson, type StrictJsonOptions } from './strict-json.ts';
export type { StoredTensor, WeightSource } from './weight-source.ts';
