export { type AttentionWeightsOptions, attentionWeights } from './attention-weights.ts';
export { gqaErrorCodes } from './errors.ts';
export { type GroupedQueryAttentionOptions, groupedQueryAttention } from './grouped-query-attention.ts';
export { type KeyValueCacheSize, keyValueCacheBytes } from './key-value-cache-bytes.ts';
export { createKvCache, KvCache, type KvCacheOptions } from './kv-cache.ts';
export { firstVisibleKey, type WindowBound, type WindowOptions } from './visible-keys.ts';
