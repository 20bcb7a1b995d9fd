import { createKvCache, firstVisibleKey, type WindowBound } from '@phiblocks/gqa';
import { cacheBytesPerStep, cacheBytesPerToken } from '@phiblocks/runtime';
import type { Member } from './published-configs.ts';

/** The keys that the queries of a short sequence see: `[query][key]`. */
export function visibleKeys(
  numTokens: number,
  slidingWindow: number | undefined,
  windowBound: WindowBound,
): boolean[][] {
  const options = slidingWindow === undefined ? {} : { slidingWindow, windowBound };
  return Array.from({ length: numTokens }, (_, query) => {
    const first = firstVisibleKey(query, options);
    return Array.from({ length: numTokens }, (_, key) => key >= first && key <= query);
  });
}

/** What a step of decoding holds and reads. */
export interface StepTraffic {
  /** Keys and values of all tokens so far: what the cache holds, window or not. */
  readonly heldInBytes: number;
  /** What attention reads for one token. */
  readonly readInBytes: number;
}

/** The cache of a member at a length in 16 bits, and what one more token reads of it. */
export function stepTraffic(member: Member, length: number): StepTraffic {
  return {
    heldInBytes: length * cacheBytesPerToken(member.config, 2),
    readInBytes: cacheBytesPerStep(member.config, length, 'f16'),
  };
}

/** One append of a growing cache. */
export interface CacheGrowth {
  readonly length: number;
  /** Bytes of the tokens that are there. */
  readonly usedInBytes: number;
  /** Bytes that are reserved. */
  readonly reservedInBytes: number;
}

/**
 * Fills a small cache: a prompt, then a token at a time. Room doubles when it runs out.
 *
 * @param shape - one layer is enough to see it
 */
export function cacheGrowth(
  shape: { numKeyValueHeads: number; headDim: number },
  promptLength: number,
  numTokens: number,
): CacheGrowth[] {
  const cache = createKvCache({ numLayers: 1, ...shape });
  const rowLength = shape.numKeyValueHeads * shape.headDim;
  const steps: CacheGrowth[] = [];
  const take = (tokens: number): void => {
    const rows = { data: new Float32Array(tokens * rowLength), shape: [tokens, rowLength] };
    cache.append(0, rows, rows);
    cache.commit(tokens);
    const usedInBytes = 2 * cache.length * rowLength * Float32Array.BYTES_PER_ELEMENT;
    steps.push({ length: cache.length, usedInBytes, reservedInBytes: cache.sizeInBytes });
  };
  take(promptLength);
  for (let n = 0; n < numTokens; n++) take(1);
  return steps;
}
