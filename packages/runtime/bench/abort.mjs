// How soon an abort is heard during a prompt of 4,096 tokens, all the way through it: behind every few chunks a timer aborts at a
// seeded moment, the time from when it was due to when the call has returned counts, and the prompt goes on where it was.
//
//   node packages/runtime/bench/abort.mjs --model FILE [--threads 2] [--tokens 4096] [--from 0]
//
// With --from, that many tokens are read first without aborts.
import { parseArgs } from 'node:util';
import { isPhi3Error } from '@phiblocks/tensor';
import { loadModel } from '../dist/node.js';

const text = { type: 'string' };
const { values } = parseArgs({ options: { model: text, threads: text, tokens: text, from: text } });
const threads = Number(values.threads ?? 2);
const model = await loadModel(values.model, { backend: 'wasm', threads, backendOptions: { kvCache: 'f16' } });
const total = Math.min(Number(values.tokens ?? 4096), model.config.maxPositionEmbeddings);
const ids = Array.from({ length: total }, (_, i) => (i * 7919 + 13) % model.config.vocabSize);
const session = model.createSession();
const from = Number(values.from ?? 0);
if (from > 0) await session.advance(ids.slice(0, from));
const waits = [];
let random = 1;
const started = performance.now();
while (session.ids.length < total) {
  const controller = new AbortController();
  let due = Number.POSITIVE_INFINITY;
  let timer;
  const onProgress = () => {
    if (timer) return;
    random = (random * 48271) % 0x7fffffff;
    const delayMs = random % 1000;
    due = performance.now() + delayMs;
    timer = setTimeout(() => controller.abort(), delayMs);
  };
  try {
    await session.advance(ids.slice(session.ids.length), { signal: controller.signal, onProgress });
  } catch (error) {
    if (!isPhi3Error(error, 'ABORTED')) throw error;
    waits.push({ ms: performance.now() - due, tokens: session.ids.length });
    if (process.stderr.isTTY) process.stderr.write(`\r${session.ids.length} of ${total} `);
  }
  clearTimeout(timer);
}
const elapsedSeconds = (performance.now() - started) / 1000;
waits.sort((a, b) => a.ms - b.ms);
const at = (part) => Math.round(waits[Math.floor(part * (waits.length - 1))].ms);
const slowest = waits.at(-1);
console.log(
  `tokens ${from} to ${total} in ${elapsedSeconds.toFixed(0)} s; ${waits.length} aborts: median ${at(0.5)} ms, 90 % ${at(0.9)} ms, ` +
    `longest ${Math.round(slowest.ms)} ms behind ${slowest.tokens} tokens`,
);
await model.dispose();
