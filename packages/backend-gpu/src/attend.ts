import type { BlockSparsePattern } from '@phiblocks/tensor';
import type { Slot, WorkQueue } from './work-queue.ts';

/** What attention needs to know; see `kernels/attention.ts`. */
export interface AttendOptions {
  readonly queries: Slot;
  /** Positions from 0 on. */
  readonly stored: Slot;
  readonly storedCount: number;
  /** Positions behind them; any array where there are none. */
  readonly recent: Slot;
  readonly length: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly scale: number;
  /** Without it every query sees every key. */
  readonly isCausal: boolean;
  readonly slidingWindow: number;
  readonly blockSparse: BlockSparsePattern | undefined;
  /** Numbers that an array may have: scores of all heads are computed for as many tokens as fit. */
  readonly mostElements: number;
}

/** Softmax attention: scores, their largest and their sum by slices, the mix of values. Three kernels for one token, else five. */
export function attend(queue: WorkQueue, options: AttendOptions): Slot {
  const { queries, length, heads, mostElements } = options;
  const tokens = queries.rows;
  const atOnce = Math.max(1, Math.min(tokens, Math.floor(mostElements / (heads * length))));
  let joined: Slot | undefined;
  for (let first = 0; first < tokens; first += atOnce) {
    const part = attendSome(queue, options, first, Math.min(atOnce, tokens - first));
    if (!joined) {
      joined = part;
      continue;
    }
    const both = queue.launch('joinRows', {}, queries.columns, joined.rows + part.rows, [joined, part, joined.rows]);
    queue.release(joined);
    queue.release(part);
    joined = both;
  }
  return joined ?? { columns: queries.columns, rows: 0, array: undefined };
}

function attendSome(queue: WorkQueue, options: AttendOptions, firstToken: number, tokens: number): Slot {
  const { queries, stored, storedCount, recent, length, heads, keyValueHeads, headDim, scale } = options;
  const { isCausal, slidingWindow, blockSparse } = options;
  const firstPosition = length - queries.rows;
  // Keys that no query of this part sees are left out on both sides.
  const lastKey = isCausal ? firstPosition + firstToken + tokens - 1 : length - 1;
  const firstKey = slidingWindow > 0 ? Math.max(0, firstPosition + firstToken - slidingWindow + 1) : 0;
  const keys = lastKey - firstKey + 1;
  const headsPerKey = heads / keyValueHeads;
  const scores = queue.launch('attentionScores', {}, keys, tokens * heads, [
    queries,
    stored,
    recent,
    storedCount,
    firstKey,
    firstToken,
    heads,
    headsPerKey,
    headDim,
    scale,
    firstPosition,
    isCausal ? 1 : 0,
    slidingWindow,
    blockSparse?.blockSize ?? 0,
    blockSparse?.numLocalBlocks ?? 0,
    blockSparse?.verticalStride ?? 1,
    blockSparse?.headStep ?? 0,
  ]);
  const keysPerSlice = Math.max(16, Math.ceil(keys / 64));
  const slices = Math.ceil(keys / keysPerSlice);
  const parts = queue.launch('softmaxSlices', {}, 2 * slices, tokens * heads, [scores, keys, keysPerSlice]);
  const where = [stored, recent, storedCount, firstKey, keys];
  const which = [heads, headsPerKey, headDim, keyValueHeads * headDim];
  const used = [scores, parts];
  let mixed: Slot;
  if (tokens === 1) {
    mixed = queue.launch('attentionMix', {}, queries.columns, 1, [scores, parts, ...where, slices, ...which]);
  } else {
    const totals = queue.launch('softmaxTotals', {}, 2, tokens * heads, [parts, slices]);
    const weights = queue.launch('softmaxWeights', {}, keys, tokens * heads, [scores, totals]);
    mixed = queue.launch('mixValues', {}, queries.columns, tokens, [weights, ...where, ...which]);
    used.push(totals, weights);
  }
  for (const slot of used) queue.release(slot);
  return mixed;
}
