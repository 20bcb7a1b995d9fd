import type { Backend, FloatTensor, TensorHandle, WeightMatrix } from '@phiblocks/tensor';
import { createWeightMatrix } from '@phiblocks/weights';

/** A block, small enough to run in a moment on every backend, and large enough that rounding shows. */
export interface BlockCase {
  readonly name: string;
  readonly about: string;
  run(backend: Backend): Promise<FloatTensor>;
}

const tokens = 5;
const hiddenSize = 96;
const numHeads = 4;
const numKeyValueHeads = 2;
const headDim = 24;

/** Words of 32 random bits, the same on every machine (mulberry32). */
function randomWords(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return (word ^ (word >>> 14)) >>> 0;
  };
}

/** Uniform numbers from -1 to 1. */
function seeded(shape: readonly number[], seed: number): FloatTensor {
  const next = randomWords(seed);
  const size = shape.reduce((product, length) => product * length, 1);
  return { data: Float32Array.from({ length: size }, () => next() / 2 ** 31 - 1), shape };
}

/** Rows of Q4_0 blocks: a float16 scale, then 32 numbers of 4 bits in 16 bytes. */
function seededQ4(rows: number, columns: number, seed: number): WeightMatrix {
  const bytes = new Uint8Array(((rows * columns) / 32) * 18);
  const next = randomWords(seed);
  for (let block = 0; block < bytes.length; block += 18) {
    bytes[block] = next();
    bytes[block + 1] = 0x28 + (next() & 3); // scales from 0.03 to 0.5
    for (let i = 2; i < 18; i++) bytes[block + i] = next();
  }
  return createWeightMatrix('Q4_0', [rows, columns], bytes);
}

/** Cosines and sines of the positions from 0, base 10,000. */
function rotaryTable(): { cos: FloatTensor; sin: FloatTensor } {
  const half = headDim / 2;
  const shape = [tokens, half];
  const angles = Array.from({ length: tokens * half }, (_, index) => {
    const position = Math.floor(index / half);
    return position * 10000 ** (-(index % half) / half);
  });
  return {
    cos: { data: Float32Array.from(angles, Math.cos), shape },
    sin: { data: Float32Array.from(angles, Math.sin), shape },
  };
}

type Work = (step: ReturnType<Backend['beginStep']>) => TensorHandle;

async function inStep(backend: Backend, work: Work): Promise<FloatTensor> {
  const step = backend.beginStep();
  try {
    return await backend.read(work(step));
  } finally {
    step.end();
  }
}

export const blockCases: readonly BlockCase[] = [
  {
    name: 'RMSNorm',
    about: 'x / sqrt(mean(x²) + ε) · weight, row by row.',
    run: (backend) =>
      inStep(backend, (step) =>
        step.rmsNorm(step.upload(seeded([tokens, hiddenSize], 1)), step.upload(seeded([hiddenSize], 2)), 1e-5),
      ),
  },
  {
    name: 'Linear, Q4_0 weights',
    about: 'x · Wᵀ with weights of 4 bits. WebAssembly rounds x to int8 in groups of 32 here, hence its difference.',
    async run(backend) {
      const weight = backend.uploadWeight(seededQ4(64, hiddenSize, 3));
      try {
        return await inStep(backend, (step) => step.linear(step.upload(seeded([tokens, hiddenSize], 4)), weight));
      } finally {
        backend.free(weight);
      }
    },
  },
  {
    name: 'Rotary positions',
    about: 'Rotates pairs of every head by angles that grow with the position.',
    run: (backend) =>
      inStep(backend, (step) => {
        const { cos, sin } = rotaryTable();
        const rotary = { cos: step.upload(cos), sin: step.upload(sin) };
        return step.rotate(step.upload(seeded([tokens, numHeads * headDim], 5)), rotary, headDim);
      }),
  },
  {
    name: 'Attention',
    about: 'Grouped-query attention over a cache: 4 query heads share 2 key/value heads, causal.',
    async run(backend) {
      const cache = backend.createCache({ numLayers: 1, numKeyValueHeads, headDim });
      try {
        return await inStep(backend, (step) => {
          const heads = (count: number, seed: number) => step.upload(seeded([tokens, count * headDim], seed));
          step.appendToCache(cache, 0, heads(numKeyValueHeads, 6), heads(numKeyValueHeads, 7));
          return step.attention(heads(numHeads, 8), cache, 0, { scale: headDim ** -0.5 });
        });
      } finally {
        backend.free(cache);
      }
    },
  },
  {
    name: 'SwiGLU',
    about: 'silu(gate) ⊙ up, the middle of the feed-forward part.',
    run: (backend) =>
      inStep(backend, (step) => step.gatedActivation(step.upload(seeded([tokens, 2 * hiddenSize], 9)), 'swiglu')),
  },
];
