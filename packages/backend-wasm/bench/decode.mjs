// A whole Phi-3-mini in Q4_0 with made-up weights, one token at a time: `node bench/decode.mjs [threads] [simd] [kvCache]`, after a
// build. Needs 2.5 GB. Prints tokens per second at several lengths of context, the bandwidth that they mean and what plain
// reading of the same memory reaches in turn with them; medians of 5 and of 9 tokens. PROFILE=1 adds where a token's time goes.
import { createWasmBackend } from '../dist/index.js';
import { createMadeUpModel, macsPerToken, median, shape, timed } from './made-up-model.mjs';

const [threads = '2', simd = 'auto', kvCache = 'f16'] = process.argv.slice(2);

const backend = await createWasmBackend({ threads: Number(threads), simd, kvCache });
console.log(process.version, JSON.stringify(backend.report()));

const start = performance.now();
const model = createMadeUpModel(backend);
console.log(`loaded in ${((performance.now() - start) / 1000).toFixed(1)} s`);

const cache = model.createCache();
const profile = new Map();
const forward = (tokens) => model.forward(cache, tokens, profiled);

/** With PROFILE=1 a step that adds up how long each of its operations takes, in `profile`. */
function profiled(step) {
  if (!process.env.PROFILE) return step;
  return new Proxy(step, {
    get(target, name) {
      const value = target[name];
      if (typeof value !== 'function') return value;
      return (...args) => {
        const before = performance.now();
        const result = value.apply(target, args);
        profile.set(name, (profile.get(name) ?? 0) + performance.now() - before);
        return result;
      };
    },
  });
}

const prompt = Number(process.env.PROMPT ?? 512);
await forward(64);
for (let i = 0; i < 4; i++) await forward(1);
for (const context of (process.env.CONTEXTS ?? '64,1024,4096').split(',').map(Number)) {
  while (cache.length < context) {
    const tokens = Math.min(prompt, context - cache.length);
    const elapsed = await timed(() => forward(tokens));
    if (tokens === prompt) {
      const macs = tokens * macsPerToken;
      console.log(
        `prompt of ${tokens} behind ${cache.length - tokens}: ${((tokens / elapsed) * 1000).toFixed(1)} tokens/s, ` +
          `${(macs / elapsed / 1e6).toFixed(1)} GMAC/s in linear layers if all else took no time`,
      );
    }
  }
  const times = [];
  const streams = [];
  for (let i = 0; i < 9; i++) {
    profile.clear();
    times.push(await timed(() => forward(1)));
    if (i % 2 === 0) streams.push(backend.streamWeights().elapsedMs);
  }
  if (process.env.PROFILE) {
    const parts = [...profile].sort(([, a], [, b]) => b - a).map(([name, ms]) => `${name} ${ms.toFixed(1)}`);
    console.log(`the last token, ${times.at(-1).toFixed(1)} ms: ${parts.join(', ')}`);
  }
  const size = backend.streamWeights().sizeInBytes;
  // The table of embeddings is streamed and not read by a token.
  const read = size - (shape.vocabSize * shape.hiddenSize * 18) / 32;
  const [token, stream] = [median(times), median(streams)];
  console.log(
    `context ${context}: ${(1000 / token).toFixed(2)} tokens/s, weights at ${(read / token / 1e6).toFixed(1)} GB/s of ` +
      `${(size / stream / 1e6).toFixed(1)} (${((100 * read * stream) / (token * size)).toFixed(0)} %)`,
  );
}
await backend.dispose();
