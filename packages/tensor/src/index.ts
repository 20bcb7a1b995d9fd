export type {
  AttentionOptions,
  Backend,
  BackendReport,
  BlockSparsePattern,
  CacheFormat,
  CacheHandle,
  CacheShape,
  ExpertRouting,
  ExpertWeights,
  Operations,
  RotaryHandle,
  RoutingHandle,
  Step,
  TensorHandle,
  WeightHandle,
} from './backend.ts';
export { bfloat16ToFloat32, float32ToBfloat16 } from './bfloat16.ts';
export { bytesPerElement, decodeFloats, encodeFloats, type FloatDtype } from './dtypes.ts';
export {
  ArgumentError,
  type ErrorDetails,
  type ErrorLocation,
  expectKnownOptions,
  isPhi3Error,
  Phi3Error,
  printable,
  ShapeError,
} from './errors.ts';
export { createFloatTensor, expectShape, type FloatTensor, sizeOfShape } from './float-tensor.ts';
export { float16ToFloat32, float32ToFloat16 } from './float16.ts';
export { expectHandleRange, expectHandleShape, handleHeadCount, handleMatrixShape } from './handle-checks.ts';
export type { WeightFormat, WeightMatrix } from './weight-matrix.ts';
