// Time per token of the sampler over whole vocabularies. Run `tsup` first: it measures the built package.
import { createSampler } from '../dist/index.js';

// Logits shaped like a language model's: normal noise with a few likely tokens on top.
function logitsOf(vocabSize) {
  let state = 7;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 4294967296;
  };
  const logits = new Float32Array(vocabSize);
  for (let id = 0; id < vocabSize; id++) {
    logits[id] = 2.5 * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  }
  for (let i = 0; i < 40; i++) logits[Math.floor(uniform() * vocabSize)] = 8 + 8 * uniform();
  return logits;
}

const cases = {
  greedy: {},
  'temperature 0.7': { temperature: 0.7 },
  'top-k 50': { temperature: 0.7, topK: 50 },
  'top-p 0.9': { temperature: 0.7, topP: 0.9 },
  'top-p 0.9 at temperature 2': { temperature: 2, topP: 0.9 },
  'top-k 50, top-p 0.9': { temperature: 0.7, topK: 50, topP: 0.9 },
  'min-p 0.05': { temperature: 0.7, minP: 0.05 },
  'typical-p 0.9': { temperature: 0.7, typicalP: 0.9 },
  'repetition penalty, 4096 tokens': { repetitionPenalty: 1.1 },
  'greedy, 5 logprobs': { logprobs: 5 },
};
const history = { promptIds: Int32Array.from({ length: 4096 }, (_, i) => (i * 7919) % 32064), generatedIds: [] };

for (const vocabSize of [32064, 100352, 200064]) {
  const logits = logitsOf(vocabSize);
  for (const [name, options] of Object.entries(cases)) {
    const sampler = createSampler({ ...options, seed: 1 });
    for (let i = 0; i < 200; i++) sampler.sample(logits, history);
    const times = [];
    for (let round = 0; round < 21; round++) {
      const start = performance.now();
      for (let i = 0; i < 10; i++) sampler.sample(logits, history);
      times.push((performance.now() - start) / 10);
    }
    times.sort((a, b) => a - b);
    console.log(
      `V ${vocabSize}  ${name.padEnd(34)} ${(1000 * times[0]).toFixed(0).padStart(6)} µs (fastest of 21), ${(1000 * times[10]).toFixed(0).padStart(6)} µs (median)`,
    );
  }
}
