// Pass keys found by nano-mini-long: with its factors, also with its weights rounded to 4 bits, with all factors 1, and without rope
// scaling. The same samples each time, made and scored by @phiblocks/evals and answered by the project's own runtime. Build the
// packages first.
//
//   node tools/nano/long/passkey.mjs [--model DIR] [--samples 50] [--lengths 256,512,1024,2048] [--seed 1] [--out FILE.json]
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { evaluatedModel, runEvaluation, withLongFactors } from '../../../packages/evals/dist/index.js';
import { createLanguageModel } from '../../../packages/runtime/dist/index.js';
import { openCheckpoint } from '../../../packages/runtime/dist/node.js';
import { quantizedCheckpoint } from '../quantized-checkpoint.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const { values: flags } = parseArgs({
  options: {
    model: { type: 'string', default: join(here, '../../../packages/nano/models/nano-mini-long') },
    samples: { type: 'string', default: '50' },
    lengths: { type: 'string', default: '256,512,1024,2048' },
    seed: { type: 'string', default: '1' },
    threads: { type: 'string', default: '1' },
    out: { type: 'string' },
  },
});
const specification = {
  kind: 'long-context',
  suite: 'passkey',
  lengths: flags.lengths.split(',').map(Number),
  samples: Number(flags.samples),
  seed: Number(flags.seed),
};
const started = performance.now();
const checkpoint = await openCheckpoint(flags.model);
const { config } = checkpoint;
const variants = [
  ['found factors', checkpoint],
  ['… in Q4_0', quantizedCheckpoint(checkpoint, 'q4_0')],
  ['… in Q4_K', quantizedCheckpoint(checkpoint, 'q4_k')],
  [
    'all factors 1',
    withLongFactors(
      checkpoint,
      config.ropeScaling.longFactor.map(() => 1),
    ),
  ],
  ['no rope scaling', { ...checkpoint, config: { ...config, ropeScaling: undefined } }],
];
console.log(['passkey, %'.padEnd(18), ...specification.lengths.map((length) => String(length).padStart(6))].join(''));
const results = [];
for (const [name, variant] of variants) {
  const model = await createLanguageModel(variant, {
    backend: 'wasm',
    threads: Number(flags.threads),
    backendOptions: { activations: 'f32' }, // so that only the weights differ
  });
  const { summary } = await runEvaluation(evaluatedModel(model), specification);
  model.network.dispose();
  console.log([name.padEnd(18), ...summary.average.map(({ score }) => (100 * score).toFixed(0).padStart(6))].join(''));
  results.push({ name, scores: summary.average });
}
await checkpoint.close();
const seconds = Math.round((performance.now() - started) / 1000);
const device = `${cpus()[0]?.model ?? 'unknown'}, ${flags.threads} thread(s) of ${availableParallelism()}, Node ${process.version}`;
console.log(`${specification.samples} samples, seed ${specification.seed}, ${seconds} s on ${device}, backend wasm`);
if (flags.out)
  writeFileSync(flags.out, `${JSON.stringify({ specification, results, seconds, device }, undefined, 1)}\n`);
process.exit(0); // threads of the backends end with the process
