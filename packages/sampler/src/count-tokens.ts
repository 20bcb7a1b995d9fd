import { expectIds, rejectId } from './checks.ts';

/**
 * Counts how often each token occurs, into an array that starts and ends as zeros between calls ({@link uncountTokens}).
 * Negative ids stand for positions without a token and are passed over.
 */
export function countTokens(ids: ArrayLike<number>, counts: Uint32Array, functionName: string, argument: string): void {
  expectIds(functionName, argument, ids);
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (!Number.isInteger(id) || id >= counts.length) {
      // The array belongs to the sampler: leave it as it was found.
      uncountTokens(ids, counts, i);
      rejectId(functionName, `${argument}[${i}]`, id, counts.length);
    }
    if (id >= 0) counts[id]!++;
  }
}

/** Sets the counts of the first `length` ids back to zero. */
export function uncountTokens(ids: ArrayLike<number>, counts: Uint32Array, length = ids.length): void {
  for (let i = 0; i < length; i++) {
    if (ids[i]! >= 0) counts[ids[i]!] = 0;
  }
}
