// Reads a prompt of 131,072 tokens on a tiny Phi-3-small-128k and prints the peak of its memory, beside shorter prompts, to
// show that memory grows with the length and not with its square:
//   pnpm --filter @phiblocks/runtime bench
// Published context length, LongRoPE and block sizes; 2 layers of 2 heads of 8 components, all layers block-sparse, because a
// dense layer in plain TypeScript would take an hour here.

import { createByteSource, encodeSafetensors, parsePhi3Config } from '@phiblocks/weights';
import {
  createLanguageModel,
  createReferenceBackend,
  openCheckpointFiles,
  phi3SmallTensorPlan,
} from '../dist/index.js';

const lengths = (process.env.LENGTHS ?? '32768,131072').split(',').map(Number);
const json = {
  model_type: 'phi3small',
  hidden_size: 16,
  ff_intermediate_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 64,
  max_position_embeddings: 131072,
  dense_attention_every_n_layers: null,
  rope_scaling: {
    type: 'su',
    original_max_position_embeddings: 8192,
    short_factor: [1, 1.1, 1.2, 1.3],
    long_factor: [1.1, 2, 8, 16],
    short_mscale: 1.1,
    long_mscale: 1.2,
  },
};

let state = 1;
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 31 - 1;
};
const config = new TextEncoder().encode(JSON.stringify(json));
const tensors = [...phi3SmallTensorPlan(parsePhi3Config(config))].map(([name, shape]) => {
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  const values = Float32Array.from({ length: size }, () => random() * (shape.length > 1 ? 0.4 : 1));
  return { name, dtype: 'F32', shape: [...shape], bytes: new Uint8Array(values.buffer) };
});
const files = new Map([
  ['config.json', config],
  ['model.safetensors', encodeSafetensors(tensors)],
]);

console.log(`node ${process.version}, chunks of 512 tokens\n`);
console.log(' tokens    seconds   cache MB   temporaries MB   peak of the process MB');
for (const length of lengths) {
  const checkpoint = await openCheckpointFiles({
    name: 'tiny 128k',
    open: async (name) => files.has(name) && createByteSource(files.get(name), name),
  });
  const backend = createReferenceBackend();
  const model = await createLanguageModel(checkpoint, { backend });
  const session = model.createSession({ prefillChunkSize: 512 });
  const start = performance.now();
  const { data } = await session.advance(Int32Array.from({ length }, (_, position) => (position * 7919) % 64));
  if (!data.every(Number.isFinite)) throw new Error('logits that are not finite');
  const seconds = (performance.now() - start) / 1000;
  const { cachesInBytes, peakTemporariesInBytes } = backend.memory();
  console.log(
    [
      String(length).padStart(7),
      seconds.toFixed(1).padStart(10),
      (cachesInBytes / 1e6).toFixed(1).padStart(10),
      (peakTemporariesInBytes / 1e6).toFixed(2).padStart(16),
      (process.resourceUsage().maxRSS / 1e3).toFixed(0).padStart(24),
    ].join(' '),
  );
  session.dispose();
  await model.dispose();
}
