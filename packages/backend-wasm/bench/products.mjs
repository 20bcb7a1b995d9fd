// Products with weights of published shapes: `node bench/products.mjs [threads] [simd] [activations]`, after a build. Medians of 7 runs.
import { performance } from 'node:perf_hooks';
import { createWasmBackend } from '../dist/index.js';

const [threads = '2', simd = 'auto', activations = 'q8'] = process.argv.slice(2);
const backend = await createWasmBackend({ threads: Number(threads), simd, activations });
console.log(process.version, JSON.stringify(backend.report()));

const formats = { Q4_0: [32, 18], Q8_0: [32, 34], Q4_K: [256, 144], Q6_K: [256, 210], F16: [1, 2], F32: [1, 4] };

function weight(format, rows, columns) {
  const [weights, size] = formats[format];
  const bytes = new Uint8Array((rows * columns * size) / weights);
  // Every byte 0x2c: finite numbers in every format, as quantized values and as float16 alike.
  bytes.fill(0x2c);
  return backend.uploadWeight({ format, shape: [rows, columns], bytes, dequantizeRow() {} });
}

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

function timeOf(run) {
  run();
  return median(
    Array.from({ length: 7 }, () => {
      const start = performance.now();
      run();
      return performance.now() - start;
    }),
  );
}

const column = (value, width = 10) => String(value).padStart(width);

for (const [format, [weights, size]] of Object.entries(formats)) {
  for (const [rows, columns] of [
    [9216, 3072],
    [3072, 8192],
  ]) {
    // Enough copies that no cache holds them: what is measured is memory.
    const bytesOfOne = (rows * columns * size) / weights;
    const copies = Math.max(2, Math.ceil(4e8 / bytesOfOne));
    const matrices = Array.from({ length: copies }, () => weight(format, rows, columns));
    const x = { data: Float32Array.from({ length: columns }, (_, i) => Math.sin(i)), shape: [1, columns] };
    const decode = timeOf(() => {
      const step = backend.beginStep();
      const input = step.upload(x);
      for (const matrix of matrices) step.linear(input, matrix);
      step.end();
    });
    const streams = [0, 1, 2, 3, 4].map(() => backend.streamWeights());
    const bandwidth = median(streams.map(({ sizeInBytes, elapsedMs }) => sizeInBytes / elapsedMs / 1e6));
    const stored = streams[0].sizeInBytes;
    const rate = stored / decode / 1e6;
    const line = [
      column(format, 5),
      column(`${columns}x${rows}`),
      `vector ${column(rate.toFixed(1), 5)} GB/s of ${bandwidth.toFixed(1)} (${((100 * rate) / bandwidth).toFixed(0)} %)`,
      `${column(((copies * rows * columns) / decode / 1e6).toFixed(1), 5)} Gweights/s`,
    ];
    for (const tokens of [4, 128, 512]) {
      if (tokens > 4 && rows === 3072 && format !== 'Q4_0') continue;
      const many = {
        data: Float32Array.from({ length: columns * tokens }, (_, i) => Math.sin(i)),
        shape: [tokens, columns],
      };
      const used = matrices.slice(0, tokens === 512 ? 1 : 4);
      const time = timeOf(() => {
        const step = backend.beginStep();
        const input = step.upload(many);
        for (const matrix of used) step.linear(input, matrix);
        step.end();
      });
      const macs = used.length * tokens * rows * columns;
      line.push(`${tokens} rows ${column((macs / time / 1e6).toFixed(1), 5)} GMAC/s`);
    }
    console.log(line.join('  '));
    for (const matrix of matrices) backend.free(matrix);
  }
}
await backend.dispose();
