export { type ActivationStatistics, createActivationStatistics } from './activation-statistics.ts';
export { dotQ8 } from './activations/dot-q8.ts';
export {
  dynamicInt8Activations,
  type Int8Activations,
  type Int8ActivationsOptions,
} from './activations/dynamic-int8-activations.ts';
export { dynamicUint8Activations, type Uint8Activations } from './activations/dynamic-uint8-activations.ts';
export { dequantizeRow } from './dequantize-row.ts';
export { type QuantizationErrorCode, quantizationErrorCodes } from './error-codes.ts';
export { type Int8Matrix, type Int8PerRowOptions, int8PerRow, int8RowProduct } from './int8-per-row.ts';
export { measureError, type QuantizationError } from './measure-error.ts';
export type { PackedMatrix, PackedTensor } from './packed/packed-matrix.ts';
export { type AwqLayer, parseAwq } from './packed/parse-awq.ts';
export { type GptqLayer, parseGptq } from './packed/parse-gptq.ts';
export { measureSparsity } from './pruning/measure-sparsity.ts';
export { pruneByMagnitude } from './pruning/prune-by-magnitude.ts';
export { type PruneNToMOptions, pruneNToM } from './pruning/prune-n-to-m.ts';
export { pruneWanda } from './pruning/prune-wanda.ts';
export { type QuantizeMatrixOptions, quantizeMatrix } from './quantize-matrix.ts';
export { type QuantizeRowOptions, quantizeRow } from './quantize-row.ts';
export { type CustomRecipe, chooseFormat, type FormatChoice, type RecipeName } from './recipes/choose-format.ts';
export { type TensorRole, tensorRole } from './recipes/tensor-role.ts';
export { type DequantizableMatrix, matrixVectorProduct, rowProduct } from './row-product.ts';
export type { QuantizeOptions } from './row-quantizer.ts';
export { rowFits, rowSizeInBytes } from './row-size.ts';
