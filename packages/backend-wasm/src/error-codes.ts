/** Codes that this package adds to `ARGUMENT`, `SHAPE` and `OPTION_UNKNOWN`. */
export const wasmErrorCodes = {
  EXPERT_MISSING: 'The weights of an expert that a token was routed to are not there.',
  HANDLE_INVALID: 'A handle was freed, or belongs to another backend.',
  KV_COMMIT: 'Positions are committed that were not appended to every layer.',
  OOM: 'The memory for a weight, a cache or a result could not be had, or would pass what one WebAssembly memory can hold.',
  STEP_ENDED: 'The step has ended; its handles are gone.',
  TOKEN_ID_RANGE: 'A token id lies outside the table of embeddings.',
  UNSUPPORTED: 'The engine lacks WebAssembly or an instruction set that was asked for.',
  WORKER_LOST: 'A worker thread ended or stopped answering. The backend can only be disposed of; the process is sound.',
} as const;

export type WasmErrorCode = keyof typeof wasmErrorCodes;
