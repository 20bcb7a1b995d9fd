// A whole Phi-3-mini in Q4_0 with made-up weights, one token at a time: `node bench/decode.mjs [threads] [simd] [kvCache]`, after a
// build. Needs 2.5 GB. Prints tokens per second at several lengths of context, the bandwidth that they mean and what plain
// reading of the same memory reaches in turn with them; medians of 5 and of 9 tokens. PROFILE=1 adds where a token's time goes.
import { createWasmBackend } from '../dist/index.js';

const [threads = '2', simd = 'auto', kvCache = 'f16'] = process.argv.slice(2);
const [layers, C, I, H, D, V] = [32, 3072, 8192, 32, 96, 32064];
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

const backend = await createWasmBackend({ threads: Number(threads), simd, kvCache });
console.log(process.version, JSON.stringify(backend.report()));

const start = performance.now();
const bytes = new Uint8Array((V * C * 18) / 32).fill(0x1c);
// Nibbles 8 above and below by turns, so that sums neither grow nor vanish.
for (let i = 0; i < bytes.length; i++) if (i % 18 > 1) bytes[i] = i % 2 ? 0x7a : 0x96;
const weight = (rows, columns) =>
  backend.uploadWeight({
    format: 'Q4_0',
    shape: [rows, columns],
    bytes: bytes.subarray(0, (rows * columns * 18) / 32),
    dequantizeRow() {},
  });
const model = Array.from({ length: layers }, () => ({
  qkv: weight(3 * C, C),
  out: weight(C, C),
  gateUp: weight(2 * I, C),
  down: weight(C, I),
}));
const embedding = weight(V, C);
const head = weight(V, C);
const norm = backend.upload({ data: new Float32Array(C).fill(1), shape: [C] });
console.log(`loaded in ${((performance.now() - start) / 1000).toFixed(1)} s`);

const cache = backend.createCache({ numLayers: layers, numKeyValueHeads: H, headDim: D });

const profile = new Map();

async function forward(tokens) {
  const step = profiled(backend.beginStep());
  const angles = { data: new Float32Array((tokens * D) / 2).fill(0.5), shape: [tokens, D / 2] };
  const rotary = { cos: step.upload(angles), sin: step.upload(angles) };
  const kept = [rotary.cos, rotary.sin];
  let hidden = step.embed(
    embedding,
    new Int32Array(tokens).map((_, i) => i * 7),
  );
  for (const [layer, { qkv, out, gateUp, down }] of model.entries()) {
    const fused = step.linear(step.rmsNorm(hidden, norm, 1e-5), qkv);
    const q = step.rotate(step.columns(fused, 0, C), rotary, D);
    const k = step.rotate(step.columns(fused, C, C), rotary, D);
    step.appendToCache(cache, layer, k, step.columns(fused, 2 * C, C));
    const attended = step.attention(q, cache, layer, { scale: 1 / Math.sqrt(D), slidingWindow: 2047 });
    hidden = step.add(hidden, step.linear(attended, out));
    const gated = step.gatedActivation(step.linear(step.rmsNorm(hidden, norm, 1e-5), gateUp), 'swiglu');
    hidden = step.add(hidden, step.linear(gated, down));
    step.keepOnly([hidden, ...kept]);
  }
  const last = step.rows(step.rmsNorm(hidden, norm, 1e-5), tokens - 1, 1);
  await backend.read(step.linear(last, head));
  step.commit(cache, tokens);
  step.end();
}

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

const timed = async (run) => {
  const before = performance.now();
  await run();
  return performance.now() - before;
};

const prompt = Number(process.env.PROMPT ?? 512);
await forward(64);
for (let i = 0; i < 4; i++) await forward(1);
for (const context of (process.env.CONTEXTS ?? '64,1024,4096').split(',').map(Number)) {
  while (cache.length < context) {
    const tokens = Math.min(prompt, context - cache.length);
    const elapsed = await timed(() => forward(tokens));
    if (tokens === prompt) {
      const macs = tokens * layers * (3 * C * C + C * C + 3 * C * I);
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
  const read = size - (V * C * 18) / 32;
  const [token, stream] = [median(times), median(streams)];
  console.log(
    `context ${context}: ${(1000 / token).toFixed(2)} tokens/s, weights at ${(read / token / 1e6).toFixed(1)} GB/s of ` +
      `${(size / stream / 1e6).toFixed(1)} (${((100 * read * stream) / (token * size)).toFixed(0)} %)`,
  );
}
await backend.dispose();
