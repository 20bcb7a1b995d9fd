import { ArgumentError } from '@phiblocks/tensor';

/**
 * How the lower end of a sliding window W counts; implementations disagree by one.
 *
 * - `exclusive`: a query at position i sees the keys i - W < j ≤ i, W of them. huggingface/transformers, llama.cpp.
 * - `inclusive`: it sees i - W ≤ j ≤ i, W + 1 of them. The flash-attention path of the code first published with the
 *   checkpoints.
 */
export type WindowBound = 'exclusive' | 'inclusive';

/** Which earlier keys a query sees. Without `slidingWindow`: all of them. */
export interface WindowOptions {
  /** W, in tokens. */
  readonly slidingWindow?: number | undefined;
  /** `exclusive` when absent; without `slidingWindow` it has nothing to bound. */
  readonly windowBound?: WindowBound | undefined;
}

/**
 * The first key position that a query sees; the last one is its own.
 *
 * @param position - of the query, from 0
 * @param options - the window
 * @throws ArgumentError `ARGUMENT` for a position that is not a whole number from 0 up, a window that is not one from 1 up,
 * or an unknown bound
 * @example
 * firstVisibleKey(10, { slidingWindow: 4 }); // => 7
 * firstVisibleKey(10, { slidingWindow: 4, windowBound: 'inclusive' }); // => 6
 * firstVisibleKey(2, { slidingWindow: 4 }); // => 0
 */
export function firstVisibleKey(position: number, options: WindowOptions = {}): number {
  if (!Number.isSafeInteger(position) || position < 0) {
    throw new ArgumentError({
      function: 'firstVisibleKey',
      argument: 'position',
      expected: 'a whole number from 0 up',
      got: position,
    });
  }
  return Math.max(0, position + 1 - visibleKeyLimit('firstVisibleKey', options));
}

/** The largest number of keys that a query sees, its own included; infinite without a window. */
export function visibleKeyLimit(functionName: string, { slidingWindow, windowBound }: WindowOptions): number {
  if (windowBound !== undefined && windowBound !== 'exclusive' && windowBound !== 'inclusive') {
    throw new ArgumentError({
      function: functionName,
      argument: 'options.windowBound',
      expected: 'exclusive or inclusive',
      got: windowBound,
    });
  }
  if (slidingWindow === undefined) return Number.POSITIVE_INFINITY;
  if (!Number.isSafeInteger(slidingWindow) || slidingWindow < 1) {
    throw new ArgumentError({
      function: functionName,
      argument: 'options.slidingWindow',
      expected: 'a whole number from 1 up',
      got: slidingWindow,
    });
  }
  return windowBound === 'inclusive' ? slidingWindow + 1 : slidingWindow;
}
