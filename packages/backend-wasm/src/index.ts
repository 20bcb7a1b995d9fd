export type { CacheFormat } from '@phiblocks/tensor';
export { type WasmErrorCode, wasmErrorCodes } from './error-codes.ts';
export type { Simd } from './kernels.ts';
export type { MemoryPlan } from './memory-plan.ts';
export type { CreateWorker, WorkerLike } from './thread-pool.ts';
export { createWasmBackend, type WasmBackend, type WasmBackendOptions } from './wasm-backend.ts';
