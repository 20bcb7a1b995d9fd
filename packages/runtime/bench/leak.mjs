// Memory of the process while a model is loaded, used and freed 20 times:
//
//   node --expose-gc packages/runtime/bench/leak.mjs --model FILE [--threads 2]
import { setImmediate } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { collect } from '../dist/index.js';
import { loadModel } from '../dist/node.js';

const text = { type: 'string' };
const { values } = parseArgs({ options: { model: text, threads: text } });
const resident = [];
for (let round = 0; round < 23; round++) {
  const model = await loadModel(values.model, { backend: 'wasm', threads: Number(values.threads ?? 2) });
  await collect(model.generate({ promptIds: [1, 300, 301], maxNewTokens: 3, ignoreEos: true }));
  await model.dispose();
  for (let i = 0; i < 3; i++) {
    globalThis.gc();
    await setImmediate();
  }
  resident.push(process.memoryUsage().rss / 1e6);
}
// What is compiled and cached once is no leak.
const [before, after] = [resident[2], resident.at(-1)];
console.log(
  `resident after 3 rounds ${before.toFixed(1)} MB, after 23 ${after.toFixed(1)} MB: ${(after - before).toFixed(1)} MB more`,
);
console.log(resident.map((megabytes) => megabytes.toFixed(0)).join(' '));
