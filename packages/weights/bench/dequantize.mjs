// How fast stored weights become float32, row by row on one thread: pnpm --filter @phiblocks/weights bench
import { createWeightMatrix, weightFormats, weightSizeInBytes } from '../dist/index.js';

const shape = [512, 3072];
const runs = 9;

console.log(`node ${process.version}, one thread, ${shape.join(' x ')}, median of ${runs}`);
const rows = {};
for (const format of weightFormats()) {
  const bytes = new Uint8Array(weightSizeInBytes(format, shape));
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 2654435761) >>> 26; // small scales: no NaN, no subnormals
  const matrix = createWeightMatrix(format, shape, bytes);
  const out = new Float32Array(shape[1]);
  const times = [];
  for (let run = 0; run <= runs; run++) {
    const start = performance.now();
    for (let row = 0; row < shape[0]; row++) matrix.dequantizeRow(row, out);
    if (run > 0) times.push(performance.now() - start); // the first one compiles
  }
  const elapsedMs = times.sort((a, b) => a - b)[runs >> 1];
  rows[format] = { 'M weights/s': Math.round((shape[0] * shape[1]) / elapsedMs / 1000) };
}
console.table(rows);
