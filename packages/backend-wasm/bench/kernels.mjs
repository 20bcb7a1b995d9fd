// Kernels alone: `pnpm --filter @phiblocks/backend-wasm bench`, after a build. Fastest of many short runs, so that the figures hold on
// a shared machine too; attention as it reads its cache in GB/s, products in GB/s and GMAC/s, each beside plain reading.
import { createWasmBackend } from '../dist/index.js';

const threads = Number(process.argv[2] ?? 2);
const patienceMs = 700;
const models = [
  { name: 'Phi-3-mini', heads: 32, keyValueHeads: 32, headDim: 96 },
  { name: 'Phi-3-medium', heads: 40, keyValueHeads: 10, headDim: 128 },
];

function fastest(run) {
  let best = Number.POSITIVE_INFINITY;
  for (const until = performance.now() + patienceMs; performance.now() < until; ) best = Math.min(best, run());
  return best;
}

const timed = (run) => {
  const start = performance.now();
  run();
  return performance.now() - start;
};

console.log(`${process.version}, ${threads} threads`);
for (const kvCache of ['f32', 'f16', 'q8']) {
  for (const { name, heads, keyValueHeads, headDim } of models) {
    const backend = await createWasmBackend({ threads, kvCache });
    const [positions, numLayers, width] = [1024, 8, keyValueHeads * headDim];
    const cache = backend.createCache({ numLayers, numKeyValueHeads: keyValueHeads, headDim });
    const filling = backend.beginStep();
    const data = Float32Array.from({ length: positions * width }, (_, i) => Math.sin(i));
    const rows = filling.upload({ data, shape: [positions, width] });
    for (let layer = 0; layer < numLayers; layer++) filling.appendToCache(cache, layer, rows, rows);
    filling.commit(cache, positions);
    filling.end();
    const line = [`attention ${name.padEnd(12)} ${kvCache.padEnd(3)}`];
    for (const tokens of [1, 128]) {
      const shape = [tokens, heads * headDim];
      const query = { data: Float32Array.from({ length: tokens * heads * headDim }, (_, i) => Math.cos(i)), shape };
      let layer = 0;
      const time = fastest(() => {
        const step = backend.beginStep();
        const handle = step.upload(query);
        layer = (layer + 1) % numLayers;
        const elapsed = timed(() => step.attention(handle, cache, layer, { scale: headDim ** -0.5 }));
        step.end();
        return elapsed;
      });
      const bytes = 2 * positions * width * { f32: 4, f16: 2, q8: 1 }[kvCache];
      const macs = 2 * tokens * heads * headDim * (positions - (tokens - 1) / 2);
      const rate = tokens === 1 ? `${(bytes / time / 1e6).toFixed(1)} GB/s, ` : '';
      line.push(`${tokens} queries: ${time.toFixed(3)} ms, ${rate}${(macs / time / 1e6).toFixed(1)} GMAC/s`);
    }
    console.log(line.join('; '));
    await backend.dispose();
  }
}

const [rows, columns] = [9216, 3072];
for (const simd of ['relaxed', 'simd']) {
  const backend = await createWasmBackend({ threads, simd });
  // Every byte 0x2c: finite numbers as scales and as weights.
  const bytes = new Uint8Array((rows * columns * 18) / 32).fill(0x2c);
  const upload = () => backend.uploadWeight({ format: 'Q4_0', shape: [rows, columns], bytes, dequantizeRow() {} });
  // More than any processor cache holds.
  const matrices = Array.from({ length: 24 }, upload);
  const line = [`linear Q4_0 ${columns} x ${rows} ${simd.padEnd(7)}`];
  for (const tokens of [1, 512]) {
    const x = {
      data: Float32Array.from({ length: tokens * columns }, (_, i) => Math.cos(i)),
      shape: [tokens, columns],
    };
    let next = 0;
    const time = fastest(() => {
      const step = backend.beginStep();
      const handle = step.upload(x);
      next = (next + 1) % matrices.length;
      const elapsed = timed(() => step.linear(handle, matrices[next]));
      step.end();
      return elapsed;
    });
    const macs = tokens * rows * columns;
    const rate = tokens === 1 ? `${(bytes.length / time / 1e6).toFixed(1)} GB/s, ` : '';
    line.push(`${tokens} rows: ${time.toFixed(2)} ms, ${rate}${(macs / time / 1e6).toFixed(1)} GMAC/s`);
  }
  const stream = fastest(() => backend.streamWeights().elapsedMs);
  line.push(`reading ${((matrices.length * bytes.length) / stream / 1e6).toFixed(1)} GB/s`);
  console.log(line.join('; '));
  await backend.dispose();
}
