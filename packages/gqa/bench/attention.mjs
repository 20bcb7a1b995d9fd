// How fast attention is on one thread: pnpm --filter @phiblocks/gqa bench
import { groupedQueryAttention } from '../dist/index.js';

/** Queries, keys, query heads, key/value heads, headDim. */
const cases = [
  ['one query over 64 keys', 1, 64, 32, 32, 96],
  ['one query over 1,024 keys', 1, 1024, 32, 32, 96],
  ['one query over 4,096 keys', 1, 4096, 32, 32, 96],
  ['one query over 4,096 keys, 10 key/value heads', 1, 4096, 40, 10, 128],
  ['a prompt of 256', 256, 256, 32, 32, 96],
];
const runs = 7;

const filled = (...shape) => {
  const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
  for (let i = 0; i < data.length; i++) data[i] = Math.sin(i * 12.9898) * 0.5;
  return { data, shape };
};

console.log(`node ${process.version}, one thread, median of ${runs}`);
const rows = {};
for (const [name, T, S, H, K, D] of cases) {
  const options = { queries: filled(T, H, D), keys: filled(S, K, D), values: filled(S, K, D), scale: 1 / Math.sqrt(D) };
  groupedQueryAttention(options);
  const times = [];
  for (let run = 0; run < runs; run++) {
    const start = performance.now();
    groupedQueryAttention(options);
    times.push(performance.now() - start);
  }
  const elapsedMs = times.sort((a, b) => a - b)[runs >> 1];
  // A query meets the keys up to its own position: once for the score and once for the sum of the values.
  const pairs = T === 1 ? S : (T * (T + 1)) / 2;
  rows[name] = { ms: elapsedMs.toFixed(2), 'G multiply-adds/s': ((2 * pairs * H * D) / elapsedMs / 1e6).toFixed(2) };
}
console.table(rows);
