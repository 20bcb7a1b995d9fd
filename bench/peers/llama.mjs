// One run of node-llama-cpp: node llama.mjs FILE PROMPT_TOKENS CONTEXT DECODE_TOKENS THREADS FLASH(0|1); prints one JSON object.
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';

const [file, promptTokens, context, decodeTokens, threads, flash] = process.argv.slice(2);
const ids = (length) => Array.from({ length }, (_, i) => 3 + ((i * 7919) % 250));
const now = () => performance.now();

const llama = await getLlama({
  build: 'never',
  gpu: false,
  maxThreads: Number(threads),
  logLevel: LlamaLogLevel.error,
});
const loadStarted = now();
const model = await llama.loadModel({ modelPath: file, defaultContextFlashAttention: flash === '1' });
const contextSize = Math.max(Number(promptTokens), Number(context) + Number(decodeTokens)) + 8;
const created = await model.createContext({
  contextSize,
  batchSize: 512,
  threads: Number(threads),
  flashAttention: flash === '1',
});
const sequence = created.getSequence();
const loadSeconds = (now() - loadStarted) / 1000;

await sequence.evaluateWithoutGeneratingNewTokens(ids(8)); // compiles and warms nothing for us, but pages the file in
await sequence.clearHistory();
let started = now();
await sequence.evaluateWithoutGeneratingNewTokens(ids(Number(promptTokens)));
const prefillTokensPerSecond = (1000 * Number(promptTokens)) / (now() - started);

await sequence.clearHistory();
await sequence.evaluateWithoutGeneratingNewTokens(ids(Number(context) - 1));
let count = 0;
started = 0;
for await (const _ of sequence.evaluate([5], { temperature: 0, yieldEogToken: true })) {
  if (count === 0) started = now(); // the first token belongs to the prompt
  if (count++ === Number(decodeTokens)) break;
}
const decodeTokensPerSecond = (1000 * (count - 1)) / (now() - started);
console.log(JSON.stringify({ prefillTokensPerSecond, decodeTokensPerSecond, loadSeconds }));
process.exit(0);
