// Perplexity of rows of tokens with other long factors, by the project's own runtime.
import { createWasmBackend } from '../../../packages/backend-wasm/dist/index.js';
import { evaluatedModel, withLongFactors } from '../../../packages/evals/dist/index.js';
import { createLanguageModel } from '../../../packages/runtime/dist/index.js';
import { openCheckpoint } from '../../../packages/runtime/dist/node.js';

/**
 * Opens a checkpoint for a search. `perplexityOf(factors, rows)` is exp of the mean negative log likelihood of the positions
 * that count; `extension` is what the checkpoint is to be extended to.
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
    async perplexityOf(factors, rows) {
      const model = await createLanguageModel(withLongFactors(checkpoint, factors), { backend });
      try {
        const evaluated = evaluatedModel(model, 'plain');
        let sum = 0;
        let count = 0;
        for (const { ids, counts } of rows) {
          const from = counts[0];
          const logProbabilities = await evaluated.logProbabilities(Int32Array.from(ids), from);
          for (const position of counts) sum -= logProbabilities[position - from];
          count += counts.length;
        }
        return Math.exp(sum / count);
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
