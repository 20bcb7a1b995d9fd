import type { BackendChoiceName } from '../backends.ts';

/** What one backend made of a block, or why it made nothing. */
export type BlockResult =
  | {
      readonly backend: BackendChoiceName;
      readonly values: Float32Array;
      readonly elapsedMs: number;
      readonly acceleration: string;
    }
  | { readonly backend: BackendChoiceName; readonly failure: string };

/** The largest difference of two results, element by element; NaN where one of them is not a number. */
export function largestDifference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Number.NaN;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    if (Number.isNaN(difference)) return Number.NaN;
    largest = Math.max(largest, difference);
  }
  return largest;
}
