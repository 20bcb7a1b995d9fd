import { type BlockJob, type BlockLayout, copyBlock, type QuantizedBlock } from '../quantized-block.ts';
import { blockError } from './block-error.ts';

/**
 * Copies `trial` over `block` when its error, measured on the values a reader will see, is the smaller one.
 *
 * @internal
 */
export function keepBetter(layout: BlockLayout, job: BlockJob, trial: QuantizedBlock, block: QuantizedBlock): void {
  if (!Number.isFinite(trial.d) || !Number.isFinite(trial.m)) return;
  // A block whose scale overflowed float16 has an error of infinity or NaN and must lose, hence not `<`.
  if (!(blockError(layout, job, trial) >= blockError(layout, job, block))) copyBlock(trial, block);
}
