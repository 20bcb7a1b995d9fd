import { createLanguageModel } from '../../../packages/runtime/dist/index.js';
import { openCheckpoint } from '../../../packages/runtime/dist/node.js';
import { quantizedCheckpoint } from './quantized-checkpoint.mjs';

/**
 * Opens a member at a precision. Activations are float32, so that only the weights differ.
 *
 * @param {string} folder - of the checkpoint
 * @param {string} precision - `bf16` for the weights as they are, or a 4-bit format
 * @param {(checkpoint: import('../../../packages/runtime/dist/index.js').Checkpoint) =>
 *   import('../../../packages/runtime/dist/index.js').Checkpoint} [change] - what else is different
 */
export async function openMember(folder, precision, change = (checkpoint) => checkpoint) {
  const checkpoint = await openCheckpoint(folder);
  const { preprocessorConfig } = checkpoint;
  const rounded = precision === 'bf16' ? checkpoint : quantizedCheckpoint(checkpoint, precision);
  return createLanguageModel(change(rounded), {
    backend: 'wasm',
    threads: 1,
    backendOptions: { activations: 'f32' },
    ...(preprocessorConfig === undefined ? {} : { numCrops: preprocessorConfig.numCrops }),
  });
}

/** What greedy decoding writes: its text and its ids. */
export async function greedyAnswer(model, request) {
  for await (const item of model.generate(request)) {
    if (item.type === 'end') return item;
  }
  throw new Error('a generation ended without its end');
}

/** Adds one question to the score of its row. */
export function count(scores, row, isRight) {
  const { asked, right } = scores.get(row) ?? { asked: 0, right: 0 };
  scores.set(row, { asked: asked + 1, right: right + (isRight ? 1 : 0) });
}
