// One run of transformers.js on onnxruntime-node: node transformers.mjs DIRECTORY PROMPT_TOKENS CONTEXT DECODE_TOKENS THREADS.
// DIRECTORY is what make-onnx.mjs writes. Prints one JSON object. The forward pass is called directly, with given ids and with
// the cache that the last call returned, as the library's own `generate` does it.
import { AutoModelForCausalLM, env, Tensor } from '@huggingface/transformers';

const [directory, ...numbers] = process.argv.slice(2);
const [promptTokens, context, decodeTokens, threads] = numbers.map(Number);
const now = () => performance.now();
env.allowRemoteModels = false;

const loadStarted = now();
const model = await AutoModelForCausalLM.from_pretrained(directory, {
  local_files_only: true,
  dtype: 'q4',
  device: 'cpu',
  session_options: { intraOpNumThreads: threads, interOpNumThreads: 1 },
});
const loadSeconds = (now() - loadStarted) / 1000;

const int64 = (values, length) => new Tensor('int64', BigInt64Array.from(values, BigInt), [1, length]);

/** Runs `ids` behind what `past` holds. */
async function forward(ids, past) {
  const length = past.length + ids.length;
  const feeds = {
    input_ids: int64(ids, ids.length),
    attention_mask: int64(new Array(length).fill(1), length),
    ...(past.values ? { past_key_values: past.values } : {}),
  };
  const output = await model.forward(feeds);
  const values = {};
  for (const [name, tensor] of Object.entries(output)) {
    if (name.startsWith('present.')) values[name.replace('present', 'past_key_values')] = tensor;
  }
  return { output, length, values };
}
function best({ data, dims }) {
  const row = data.subarray(data.length - dims.at(-1));
  let at = 0;
  for (let i = 1; i < row.length; i++) if (row[i] > row[at]) at = i;
  return at;
}
const ids = (length) => Array.from({ length }, (_, i) => 3 + ((i * 7919) % 250));
const empty = { length: 0 };

await forward(ids(8), empty);
let started = now();
await forward(ids(promptTokens), empty);
const prefillTokensPerSecond = (1000 * promptTokens) / (now() - started);

let state = await forward(ids(context), empty);
const written = [];
started = now();
for (let i = 0; i < decodeTokens; i++) {
  written.push(best(state.output.logits));
  state = await forward([written.at(-1)], state);
}
const decodeTokensPerSecond = (1000 * decodeTokens) / (now() - started);
console.log(JSON.stringify({ prefillTokensPerSecond, decodeTokensPerSecond, loadSeconds, written }));
process.exit(0);
