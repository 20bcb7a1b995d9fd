// Attention of one token over a growing cache, heads of Phi-3-mini: `node bench/attention.mjs [threads] [simd]`, after a build.
// Medians of 15 runs. Layers are many enough that no processor cache holds them, as in a model.
import { createWasmBackend } from '../dist/index.js';

const [threads = '2', simd = 'auto'] = process.argv.slice(2);
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
const numLayers = 8;
const models = [
  { name: 'Phi-3-mini', heads: 32, keyValueHeads: 32, headDim: 96 },
  { name: 'Phi-3-medium', heads: 40, keyValueHeads: 10, headDim: 128 },
];

for (const { name, heads, keyValueHeads, headDim } of models) {
  for (const kvCache of ['f32', 'f16', 'q8']) {
    const backend = await createWasmBackend({ threads: Number(threads), simd, kvCache });
    const cache = backend.createCache({ numLayers, numKeyValueHeads: keyValueHeads, headDim });
    const width = keyValueHeads * headDim;
    const line = [name.padEnd(12), kvCache];
    for (const target of [64, 1024, 4096]) {
      while (cache.length < target) {
        const step = backend.beginStep();
        const tokens = Math.min(512, target - cache.length);
        const data = Float32Array.from({ length: tokens * width }, (_, i) => Math.sin(i * i));
        const rows = step.upload({ data, shape: [tokens, width] });
        for (let layer = 0; layer < numLayers; layer++) step.appendToCache(cache, layer, rows, rows);
        step.commit(cache, tokens);
        step.end();
      }
      const times = Array.from({ length: 15 }, () => {
        const step = backend.beginStep();
        const queries = step.upload({ data: new Float32Array(heads * headDim).fill(0.1), shape: [1, heads * headDim] });
        const start = performance.now();
        for (let layer = 0; layer < numLayers; layer++) step.attention(queries, cache, layer, { scale: 0.1 });
        const elapsed = performance.now() - start;
        step.end();
        return elapsed / numLayers;
      });
      const bytes = 2 * target * width * { f32: 4, f16: 2, q8: 1 }[kvCache];
      const time = median(times);
      line.push(`${target}: ${time.toFixed(3)} ms a layer, ${(bytes / time / 1e6).toFixed(1)} GB/s`);
    }
    const step = backend.beginStep();
    const tokens = 512;
    const queries = { data: new Float32Array(tokens * heads * headDim).fill(0.1), shape: [tokens, heads * headDim] };
    const handle = step.upload(queries);
    const times = Array.from({ length: 5 }, () => {
      const start = performance.now();
      step.attention(handle, cache, 0, { scale: 0.1 });
      return performance.now() - start;
    });
    const macs = 2 * tokens * heads * headDim * (4096 - tokens / 2);
    line.push(`512 queries over 4096: ${(macs / median(times) / 1e6).toFixed(1)} GMAC/s`);
    step.end();
    console.log(line.join('  '));
    await backend.dispose();
  }
}
