// What browser.mjs runs in the page: `measure(contestant, files, lengths)`, one contestant a page load.
import { Wllama } from '@wllama/wllama';
import * as ort from 'onnxruntime-web/wasm';
import { createLanguageModel, openGgufCheckpoint } from '../../packages/runtime/dist/index.js';
import { createBlobSource } from '../../packages/weights/dist/index.js';

const now = () => performance.now();
const ids = (length) => Array.from({ length }, (_, i) => 3 + ((i * 7919) % 250));
const perSecond = (count, started) => (1000 * count) / (now() - started);
const fetchBlob = async (url) => (await fetch(url)).blob();

async function phiblocks(files, { promptTokens, context, decodeTokens, threads }) {
  const blob = await fetchBlob(files.gguf);
  const loadStarted = now();
  const checkpoint = await openGgufCheckpoint(createBlobSource(blob, 'model.gguf'));
  const model = await createLanguageModel(checkpoint, { backend: 'wasm', threads, backendOptions: { kvCache: 'f16' } });
  const loadSeconds = (now() - loadStarted) / 1000;
  const run = async (use) => {
    const session = model.createSession();
    try {
      return await use(session);
    } finally {
      session.dispose();
    }
  };
  await run((session) => session.advance(ids(8)));
  const prefillTokensPerSecond = await run(async (session) => {
    const started = now();
    await session.advance(ids(promptTokens));
    return perSecond(promptTokens, started);
  });
  const decodeTokensPerSecond = await run(async (session) => {
    await session.advance(ids(context));
    const started = now();
    for (const id of ids(decodeTokens)) await session.advance([id]);
    return perSecond(decodeTokens, started);
  });
  return { prefillTokensPerSecond, decodeTokensPerSecond, loadSeconds, report: model.backendReport() };
}

/** Its own timings, which it takes as llama.cpp's server does: of the prompt without, of writing with the sampler. */
async function wllama(files, { promptTokens, context, decodeTokens, threads }) {
  const blob = await fetchBlob(files.gguf);
  const engine = new Wllama({ default: files.wllama }, { suppressNativeLog: true });
  const loadStarted = now();
  await engine.loadModel([blob], {
    n_ctx: Math.max(promptTokens, context + decodeTokens) + 8,
    n_batch: 512,
    n_threads: threads,
    n_gpu_layers: 0,
    warmup: false,
  });
  const loadSeconds = (now() - loadStarted) / 1000;
  // One letter and a space are one piece of the synthetic vocabulary; a text begins with two more (BOS and a space).
  const complete = (length, max, letter) =>
    engine.createCompletion({
      prompt: ` ${letter}`.repeat(length - 2),
      max_tokens: max,
      temp: 0,
      ignore_eos: true,
      seed: 1,
    });
  await complete(8, 1, 'a');
  const prompt = await complete(promptTokens, 1, 'e');
  const written = await complete(context, decodeTokens, 'i');
  return {
    prefillTokensPerSecond: prompt.timings.prompt_per_second,
    decodeTokensPerSecond: written.timings.predicted_per_second,
    loadSeconds,
    report: { threads: engine.getNumThreads(), promptTokens: prompt.timings.prompt_n, timings: written.timings },
  };
}

async function onnxruntimeWeb(files, { promptTokens, context, decodeTokens, threads, config }) {
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = files.onnxruntime;
  const graph = new Uint8Array(await (await fetchBlob(files.onnx)).arrayBuffer());
  const loadStarted = now();
  const session = await ort.InferenceSession.create(graph, { executionProviders: ['wasm'] });
  const loadSeconds = (now() - loadStarted) / 1000;
  const int64 = (values) => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
  const emptyCache = Object.fromEntries(
    session.inputNames
      .filter((name) => name.startsWith('past_'))
      .map((name) => [
        name,
        new ort.Tensor('float32', new Float32Array(0), [1, config.numKeyValueHeads, 0, config.headDim]),
      ]),
  );
  const forward = async (tokens, past) => {
    const length = past.length + tokens.length;
    const output = await session.run({
      input_ids: int64(tokens),
      attention_mask: int64(new Array(length).fill(1)),
      ...past.values,
    });
    const values = {};
    for (const name of session.outputNames) {
      if (name.startsWith('present.')) values[name.replace('present', 'past_key_values')] = output[name];
    }
    return { length, values };
  };
  const empty = { length: 0, values: emptyCache };
  await forward(ids(8), empty);
  let started = now();
  await forward(ids(promptTokens), empty);
  const prefillTokensPerSecond = perSecond(promptTokens, started);
  let state = await forward(ids(context), empty);
  started = now();
  for (const id of ids(decodeTokens)) state = await forward([id], state);
  return { prefillTokensPerSecond, decodeTokensPerSecond: perSecond(decodeTokens, started), loadSeconds };
}

const contestants = { phiblocks, wllama, 'onnxruntime-web': onnxruntimeWeb };
globalThis.measure = (name, files, lengths) => contestants[name](files, lengths);
