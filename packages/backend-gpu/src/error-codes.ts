/** Codes that this package adds to `ARGUMENT`, `SHAPE` and `OPTION_UNKNOWN`. */
export const gpuErrorCodes = {
  EXPERT_MISSING: 'The weights of an expert that a token was routed to are not there.',
  GPU_DEVICE_LOST: 'The GPU or its context was lost. The backend can only be disposed of; another can be created.',
  GPU_KERNEL_FAILED: 'gpu.js or the driver rejected a kernel. The backend can only be disposed of.',
  GPU_LIMIT: 'A result is larger than one array of the device can be.',
  GPU_MODE_CHANGED: 'gpu.js ran a kernel in another mode than the one asked for.',
  GPU_MODE_UNAVAILABLE: 'The mode that was asked for cannot run here.',
  GPU_PACKAGE_MISSING: 'The optional peer dependency gpu.js is not installed.',
  HANDLE_INVALID: 'A handle was freed, or belongs to another backend.',
  KV_COMMIT: 'Positions are committed that were not appended to every layer.',
  STEP_ENDED: 'The step has ended; its handles are gone.',
  TOKEN_ID_RANGE: 'A token id lies outside the table of embeddings.',
} as const;

export type GpuErrorCode = keyof typeof gpuErrorCodes;
