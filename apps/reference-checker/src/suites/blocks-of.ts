import type { CheckContext, Findings } from '../context.ts';
import { counted } from '../counted.ts';
import { promptIds } from '../engine/logits.ts';
import { type BlocksState, checkBlocks, nothingDone } from './blocks.ts';

/** The suite `blocks` of a checkpoint. The bytes of a part are read once for both sides and dropped after it. */
export async function checkBlocksOf(context: CheckContext): Promise<Findings> {
  const { checkpoint, implementation, arithmetic, options, progress } = context;
  const { config, weights, tokenizer } = checkpoint;
  const held = new Map<string, Promise<Uint8Array>>();
  const readBytes = (key: string): Promise<Uint8Array> => {
    const bytes = held.get(key) ?? weights.readBytes(key);
    held.set(key, bytes);
    return bytes;
  };
  const runner = await context.makeRunner({ readBytes, residentBytes: 0 });
  const parts =
    config.numHiddenLayers + 2 + (config.modelType === 'phi3_v' ? config.imgProcessor.clipConfig.numHiddenLayers : 0);
  try {
    const { checks, figures } = await checkBlocks({
      runner,
      implementation,
      source: weights,
      arithmetic,
      ids: promptIds({ config, tokenizer }, 256),
      positions: options.positions,
      readBytes,
      saved: context.loadState<BlocksState>() ?? nothingDone,
      async save(state) {
        held.clear();
        progress(state.done, parts);
        await context.saveState(state);
        await context.pause();
      },
    });
    return { checks, figures, reason: `${counted(checks.length, 'block')}, ${arithmetic.name}` };
  } finally {
    await runner.dispose();
  }
}
