export type { GpuCounters, GpuMode } from './device.ts';
export { type GpuErrorCode, gpuErrorCodes } from './error-codes.ts';
export { createGpuBackend, type GpuBackend, type GpuBackendOptions } from './gpu-backend.ts';
