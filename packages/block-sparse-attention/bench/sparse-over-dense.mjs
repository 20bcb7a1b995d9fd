// Time of block-sparse over dense causal attention of one layer of Phi-3-small, beside the share of work that was counted:
//   pnpm --filter @phiblocks/block-sparse-attention bench
// A quarter of the published layer: 8 query heads (after which the pattern repeats), 2 key/value heads of 128 components,
// blocks of 64, 16 local, stride 8. Dense is the same code with every block local, so only the work differs. A prompt is
// sampled: 8 blocks of queries, evenly spread over it, because all 512 blocks of 32k tokens would take an hour. Decoding is
// one query at the end. Runs of the two alternate, so that a slow moment of the machine hits both; times are processor time.

import { blockSparseAttention, blockSparseCost, createBlockSparsePattern } from '../dist/index.js';

const lengths = (process.env.LENGTHS ?? '2048,8192,32768').split(',').map(Number);
const runs = Number(process.env.RUNS ?? 3);
const [numHeads, numKeyValueHeads, headDim, blockSize] = [8, 2, 128, 64];
const sampledBlocks = 8;
const sparse = createBlockSparsePattern({ blockSize, numLocalBlocks: 16, verticalStride: 8, numHeads });
const dense = { ...sparse, numLocalBlocks: 2 ** 20 };

let state = 1;
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 31 - 1;
};
const heads = (tokens, count) => ({
  data: Float32Array.from({ length: tokens * count * headDim }, random),
  shape: [tokens, count, headDim],
});
const processorMs = (work) => {
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
};
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

function measure(keys, values, places) {
  const timesOf = new Map([sparse, dense].map((pattern) => [pattern, []]));
  let pairs = 0;
  let densePairs = 0;
  for (const { queries, end } of places) {
    const cost = blockSparseCost(sparse, { numHeads, length: end, queryStart: end - queries.shape[0] });
    pairs += cost.numQueryKeyPairs;
    densePairs += cost.numDenseQueryKeyPairs;
  }
  for (let run = 0; run < runs + 1; run++) {
    for (const pattern of [sparse, dense]) {
      const elapsed = processorMs(() => {
        for (const { queries, end } of places) {
          const seen = ({ data, shape }) => ({
            data: data.subarray(0, end * shape[1] * headDim),
            shape: [end, shape[1], headDim],
          });
          blockSparseAttention({ queries, keys: seen(keys), values: seen(values), scale: 1 / headDim, pattern });
        }
      });
      if (run > 0) timesOf.get(pattern).push(elapsed); // the first run is also compiled
    }
  }
  const [sparseMs, denseMs] = [median(timesOf.get(sparse)), median(timesOf.get(dense))];
  return { sparseMs, denseMs, measured: sparseMs / denseMs, counted: pairs / densePairs };
}

console.log(`node ${process.version}, median of ${runs} runs, processor time\n`);
console.log('tokens   what     sparse ms    dense ms   measured   counted   measured / counted');
for (const length of lengths) {
  const keys = heads(length, numKeyValueHeads);
  const values = heads(length, numKeyValueHeads);
  const numBlocks = length / blockSize;
  const prompt = Array.from({ length: sampledBlocks }, (_, index) => {
    const block = Math.floor(((index + 0.5) * numBlocks) / sampledBlocks);
    return { queries: heads(blockSize, numHeads), end: (block + 1) * blockSize };
  });
  // One token is quick, so that many are timed together.
  const decode = Array.from({ length: 20 }, () => ({ queries: heads(1, numHeads), end: length }));
  for (const [what, places] of [
    ['prompt', prompt],
    ['decode', decode],
  ]) {
    const { sparseMs, denseMs, measured, counted } = measure(keys, values, places);
    console.log(
      [
        String(length).padEnd(8),
        what.padEnd(6),
        sparseMs.toFixed(0).padStart(11),
        denseMs.toFixed(0).padStart(11),
        measured.toFixed(3).padStart(10),
        counted.toFixed(3).padStart(9),
        (measured / counted).toFixed(2).padStart(14),
      ].join(' '),
    );
  }
}
