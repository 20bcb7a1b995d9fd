export * from '@phiblocks/backend-gpu';
export * from '@phiblocks/backend-wasm';
export * from '@phiblocks/block-sparse-attention';
export * from '@phiblocks/evals';
export * from '@phiblocks/gqa';
export * from '@phiblocks/hub';
export * from '@phiblocks/longrope';
export * from '@phiblocks/mixture-of-experts';
export * from '@phiblocks/quantization';
export * from '@phiblocks/runtime';
export * from '@phiblocks/sampler';
export * from '@phiblocks/tensor';
export * from '@phiblocks/tokenizer';
export * from '@phiblocks/vision';
// Both packages have a type of this name; the one that is read from a file is meant.
export type { GgufVocabulary } from '@phiblocks/weights';
export * from '@phiblocks/weights';
