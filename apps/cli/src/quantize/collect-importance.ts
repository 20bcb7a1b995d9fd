import { type ActivationStatistics, createActivationStatistics } from '@phiblocks/quantization';
import type { LanguageModel } from '@phiblocks/runtime';
import { createProgress } from '../terminal.ts';
import { textWindows } from './text-windows.ts';

/**
 * How much each column of each linear layer counts: the mean square of what it is multiplied with while the model reads a
 * text.
 *
 * @returns by checkpoint name of the weight
 */
export async function collectImportance(
  model: LanguageModel,
  text: string,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Float32Array>> {
  const { windows, numTokens } = textWindows(model, text, 'calibration');
  const statistics = new Map<string, ActivationStatistics>();
  const progress = createProgress('Calibrating');
  let done = 0;
  try {
    for (const ids of windows) {
      const session = model.createSession();
      try {
        await session.advance(ids, {
          logits: 'all', // so that the head's inputs are seen at every position
          signal,
          async onTensor(name, handle) {
            const weight = weightThatReads(name, model.config.tieWordEmbeddings);
            if (weight === undefined) return;
            const inputs = await model.network.backend.read(handle);
            const found = statistics.get(weight) ?? createActivationStatistics(inputs.shape[1]!);
            found.add(inputs);
            statistics.set(weight, found);
          },
        });
      } finally {
        session.dispose();
      }
      done += ids.length;
      progress.update(done, numTokens);
    }
  } finally {
    progress.end();
  }
  return new Map([...statistics].map(([weight, found]) => [weight, found.meanSquares()]));
}

/** The weight that an observed tensor is multiplied with. */
function weightThatReads(observed: string, isTied: boolean): string | undefined {
  if (observed === 'finalNorm') return isTied ? 'model.embed_tokens.weight' : 'lm_head.weight';
  const [, layer, name] = /^layers\.(\d+)\.(\w+)$/.exec(observed) ?? [];
  const prefix = `model.layers.${layer}`;
  switch (name) {
    case 'inputLayernorm':
      return `${prefix}.self_attn.qkv_proj.weight`;
    case 'attention':
      return `${prefix}.self_attn.o_proj.weight`;
    case 'postAttentionLayernorm':
      return `${prefix}.mlp.gate_up_proj.weight`;
    case 'gated':
      return `${prefix}.mlp.down_proj.weight`;
    default:
      return undefined;
  }
}
