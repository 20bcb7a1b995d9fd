// Perplexity of rows of tokens with other long factors, by the project's own runtime.
import { createWasmBackend } from '../../../packages/backend-wasm/dist/index.js';
import { evaluatedModel, withLongFactors } from '../../../packages/evals/dist/index.js';
import { createLanguageModel } from '../../../packages/runtime/dist/index.js';
import { openCheckpoint } from '../../../packages/runtime/dist/node.js';

/**
 * Opens a checkpoint for a search. `extension` is what the checkpoint is to be extended to.
 *
 * `perplexityOf(factors, rows)` is exp of the mean of the rows' mean negative log likelihoods of the positions that count, as the
 * published search averages its samples. All lists are asked with the attention factor of LongRoPE's formula, unless another is given.
 */
export async function openObjective(folder, { threads = 1 } = {}) {
  const checkpoint = await openCheckpoint(folder);
  const backend = await createWasmBackend({ threads });
  const { config } = checkpoint;
  return {
    extension: {
      headDim: config.headDim,
      ropeTheta: config.ropeTheta,
      originalMaxPositionEmbeddings: config.originalMaxPositionEmbeddings,
      targetLength: config.maxPositionEmbeddings,
    },
    async perplexityOf(factors, rows, attentionFactor) {
      const changed = withLongFactors(checkpoint, factors);
      const ropeScaling = { ...changed.config.ropeScaling, longMscale: attentionFactor };
      const asked = { ...changed, config: { ...changed.config, ropeScaling } };
      const model = await createLanguageModel(asked, { backend });
      try {
        const evaluated = evaluatedModel(model, 'plain');
        let sum = 0;
        for (const { ids, counts } of rows) {
          const from = counts[0];
          const logProbabilities = await evaluated.logProbabilities(Int32Array.from(ids), from);
          const total = counts.reduce((part, position) => part + logProbabilities[position - from], 0);
          sum -= total / counts.length;
        }
        return Math.exp(sum / rows.length);
      } finally {
        model.network.dispose();
      }
    },
    async close() {
      await backend.dispose?.();
      await checkpoint.close();
    },
  };
}
