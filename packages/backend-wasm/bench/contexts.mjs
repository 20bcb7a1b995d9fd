// What a longer context costs a token: a whole Phi-3-mini in Q4_0 with made-up weights, one cache per length, tokens in turn, so
// that a machine that is slower for a while is slower for all. `node bench/contexts.mjs [threads] [kvCache]`, after a build;
// CONTEXTS=64,4096 and ROUNDS=25 by default (all have to fit into one memory of 4 GB). Medians, and the largest and smallest of five parts of the run.
import { createWasmBackend } from '../dist/index.js';
import { createMadeUpModel, median, timed } from './made-up-model.mjs';

const [threads = '2', kvCache = 'f16'] = process.argv.slice(2);
const contexts = (process.env.CONTEXTS ?? '64,4096').split(',').map(Number);
const rounds = Number(process.env.ROUNDS ?? 25);

const backend = await createWasmBackend({ threads: Number(threads), kvCache });
console.log(process.version, JSON.stringify(backend.report()));
const model = createMadeUpModel(backend);
const runs = contexts.map((context) => ({ context, cache: model.createCache(), times: [] }));
for (const { context, cache } of runs) {
  for (let left = context; left > 0; left -= 512) model.fill(cache, Math.min(512, left));
}
for (const { cache } of runs) for (let i = 0; i < 3; i++) await model.forward(cache, 1);
for (let round = 0; round < rounds; round++) {
  for (const { cache, times } of runs) times.push(await timed(() => model.forward(cache, 1)));
}
const [first] = runs;
const ratioOf = (times, from, to) => median(times.slice(from, to)) / median(first.times.slice(from, to));
for (const { context, times } of runs) {
  const size = rounds / 5;
  const parts = Array.from({ length: 5 }, (_, i) => ratioOf(times, Math.round(i * size), Math.round((i + 1) * size)));
  const span = `${Math.min(...parts).toFixed(2)} to ${Math.max(...parts).toFixed(2)}`;
  console.log(
    `context ${context}: ${median(times).toFixed(1)} ms a token, ${(1000 / median(times)).toFixed(2)} tokens/s, ` +
      `${ratioOf(times, 0, rounds).toFixed(2)} times that of ${first.context} (parts of the run: ${span})`,
  );
}
await backend.dispose();
