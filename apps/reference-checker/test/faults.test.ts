import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Backend, Step, TensorHandle } from '@phiblocks/tensor';
import { encodeFloats } from '@phiblocks/tensor';
import { createWeightMatrix } from '@phiblocks/weights';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { check } from '../src/check.ts';
import type { CheckOptions } from '../src/context.ts';
import { delegate } from '../src/engine/part-backend.ts';
import { type Implementation, packages } from '../src/implementation.ts';
import { openTarget } from '../src/open-target.ts';
import { exitStatus, type Report, type SuiteName } from '../src/result.ts';
import {
  type Damage,
  type TinyName,
  tinyConfigs,
  tokenizerFiles,
  withPublishedVocabulary,
  writeTiny,
} from './tiny-checkpoints.ts';

// What the checker is for: each of these faults, planted in a model that is otherwise right, must be found and its place
// named. Faults of a program are planted in the implementation, faults of a download in the files.

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'phiblocks-check-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The numbers behind a handle of the reference backend, on which faults are planted. */
const valuesOf = (handle: TensorHandle): Float32Array => (handle as TensorHandle & { data: Float32Array }).data;

/** A backend in which some operations are done another way. */
function withOperations(change: (step: Step, backend: Backend) => Partial<Step>): Partial<Implementation> {
  return {
    wrapBackend: (backend) =>
      delegate(backend, {
        beginStep() {
          const step = backend.beginStep();
          return delegate(step, change(step, backend));
        },
      }),
  };
}

/** Another tensor of the same shape. */
function remade(
  step: Step,
  handle: TensorHandle,
  change: (values: Float32Array, width: number) => Float32Array,
): TensorHandle {
  return step.upload({ data: change(valuesOf(handle), handle.shape[1]!), shape: handle.shape });
}

function transposed(values: Float32Array, size: number): Float32Array {
  return values.map((_, i) => values[(i % size) * size + Math.floor(i / size)]!);
}

/** Heads of `[T, H·D]` in another order. */
function reorderedHeads(
  values: Float32Array,
  width: number,
  headDim: number,
  from: (head: number) => number,
): Float32Array {
  return values.map((_, i) => {
    const row = i - (i % width);
    return values[row + from(Math.floor((i % width) / headDim)) * headDim + (i % headDim)]!;
  });
}

interface Fault {
  readonly fault: string;
  readonly on: TinyName;
  readonly suite: SuiteName;
  /** Name of the first check that must fail. */
  readonly names: RegExp;
  readonly implementation?: Partial<Implementation>;
  readonly damage?: Damage;
  readonly options?: Partial<CheckOptions>;
}

const headDim = 8;

const faults: readonly Fault[] = [
  {
    fault: 'gate and up projection swapped',
    on: 'phi3',
    suite: 'blocks',
    names: /^layers\.0\.gated$/,
    implementation: withOperations((step) => ({
      gatedActivation: (x, kind, limit) =>
        step.gatedActivation(
          remade(step, x, (values, width) =>
            values.map((_, i) => values[i - (i % width) + ((i + width / 2) % width)]!),
          ),
          kind,
          limit,
        ),
    })),
  },
  {
    fault: 'rotation of neighbours instead of halves',
    on: 'phi3',
    suite: 'blocks',
    names: /^layers\.0\.queries$/,
    implementation: withOperations((step) => ({
      rotate(heads, { cos, sin }) {
        const [c, s] = [valuesOf(cos), valuesOf(sin)];
        const pairs = cos.shape[1]!;
        return remade(step, heads, (values, width) =>
          values.map((value, i) => {
            const at = Math.floor(i / width) * pairs + Math.floor((i % headDim) / 2);
            return i % 2 === 0 ? value * c[at]! - values[i + 1]! * s[at]! : value * c[at]! + values[i - 1]! * s[at]!;
          }),
        );
      },
    })),
  },
  {
    fault: 'LongRoPE factors multiplied instead of divided',
    on: 'phi3',
    suite: 'blocks',
    names: /^layers\.0\.rotaryCos$/,
    implementation: {
      rotaryConfigOf(config) {
        const rotary = packages.rotaryConfigOf(config);
        const inverse = (factors: readonly number[]) => factors.map((factor) => 1 / factor);
        const { ropeScaling: scaling } = rotary;
        return {
          ...rotary,
          ropeScaling: scaling && {
            ...scaling,
            shortFactor: inverse(scaling.shortFactor),
            longFactor: inverse(scaling.longFactor),
          },
        };
      },
    },
  },
  {
    fault: 'attention factor left out',
    on: 'phi3',
    suite: 'blocks',
    names: /^layers\.0\.rotaryCos$/,
    implementation: {
      rotaryConfigOf(config) {
        const rotary = packages.rotaryConfigOf(config);
        return {
          ...rotary,
          ropeScaling: rotary.ropeScaling && { ...rotary.ropeScaling, shortMscale: 1, longMscale: 1 },
        };
      },
    },
  },
  {
    fault: 'short factors beyond the LongRoPE boundary',
    on: 'phi3',
    suite: 'blocks',
    names: /^layers\.0\.rotaryCos$/,
    implementation: {
      rotaryConfigOf(config) {
        const rotary = packages.rotaryConfigOf(config);
        const { ropeScaling: scaling } = rotary;
        return { ...rotary, ropeScaling: scaling && { ...scaling, longFactor: scaling.shortFactor } };
      },
    },
  },
  {
    fault: 'sliding window one key too wide',
    on: 'window',
    suite: 'blocks',
    names: /^layers\.0\.attention$/,
    implementation: withOperations((step) => ({
      attention: (queries, cache, layer, options) =>
        step.attention(queries, cache, layer, { ...options, slidingWindow: options.slidingWindow! + 1 }),
    })),
  },
  {
    fault: 'a square weight transposed',
    on: 'phi3',
    suite: 'blocks',
    names: /^layers\.1\.oProj$/,
    implementation: {
      wrapMatrix(key, matrix) {
        if (key !== 'model.layers.1.self_attn.o_proj.weight') return matrix;
        const values = new Float32Array(matrix.bytes.slice().buffer);
        return createWeightMatrix('F32', matrix.shape, encodeFloats(transposed(values, 32), 'F32'));
      },
    },
  },
  {
    fault: 'bfloat16 by truncation instead of rounding',
    on: 'phi3',
    suite: 'quantization',
    names: /^BF16$/,
    options: { formats: ['BF16'] },
    implementation: {
      quantizeRow(format, row, options) {
        const out = packages.quantizeRow(format, row, options);
        if (format !== 'BF16') return out;
        const words = new Uint32Array(row.slice().buffer);
        const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
        for (const [i, word] of words.entries()) view.setUint16(2 * i, word >>> 16, true);
        return out;
      },
    },
  },
  {
    fault: 'attention divided by the root of D instead of D',
    on: 'phi3small',
    suite: 'blocks',
    names: /^layers\.0\.attention$/,
    implementation: withOperations((step) => ({
      attention: (queries, cache, layer, options) =>
        step.attention(queries, cache, layer, { ...options, scale: 1 / Math.sqrt(headDim) }),
    })),
  },
  {
    fault: 'embedding multiplier left out',
    on: 'phi3small',
    suite: 'blocks',
    names: /^embedding\.embedMultiplier$/,
    implementation: {
      forwardPhi3Small: (model, ...rest) =>
        packages.forwardPhi3Small({ ...model, config: { ...model.config, mupEmbeddingMultiplier: 1 } }, ...rest),
    },
  },
  {
    fault: 'logits not divided by the width multiplier',
    on: 'phi3small',
    suite: 'blocks',
    names: /^head\.logits$/,
    implementation: {
      forwardPhi3Small: (model, ...rest) =>
        packages.forwardPhi3Small({ ...model, config: { ...model.config, mupWidthMultiplier: 1 } }, ...rest),
    },
  },
  {
    fault: 'unused ids not masked',
    on: 'phi3small',
    suite: 'blocks',
    names: /^head\.logits$/,
    implementation: {
      forwardPhi3Small: (model, ...rest) =>
        packages.forwardPhi3Small({ ...model, config: { ...model.config, dummyTokenIndices: [] } }, ...rest),
    },
  },
  {
    fault: 'routing weights renormalised',
    on: 'phimoe',
    suite: 'blocks',
    names: /^layers\.0\.routing$/,
    implementation: withOperations((step) => ({
      routeExperts(x, gate, options) {
        const handle = step.routeExperts(x, gate, options);
        const { weights } = (handle as typeof handle & { routing: { weights: Float32Array } }).routing;
        for (let i = 0; i < weights.length; i += 2) {
          const total = weights[i]! + weights[i + 1]!;
          weights[i]! /= total;
          weights[i + 1]! /= total;
        }
        return handle;
      },
    })),
  },
  {
    fault: 'rivals ignored by the routing',
    on: 'phimoe',
    suite: 'blocks',
    names: /^layers\.0\.routing$/,
    implementation: withOperations((step) => ({
      routeExperts: (x, gate, options) => step.routeExperts(x, gate, { ...options, jitterEpsilon: 0 }),
    })),
  },
  {
    fault: 'gate and up projection of the experts swapped',
    on: 'phimoe',
    suite: 'blocks',
    names: /^layers\.0\.experts$/,
    implementation: withOperations((step) => ({
      runExperts: (x, routing, experts) =>
        step.runExperts(
          x,
          routing,
          experts.map((expert) => expert && { ...expert, w1: expert.w3, w3: expert.w1 }),
        ),
    })),
  },
  {
    fault: 'keys of the short list left in the cache behind the boundary',
    on: 'phi3',
    suite: 'cache',
    names: /^boundary\.length17$/,
    implementation: {
      createSequence(network, options) {
        let longest = 0;
        return packages.createSequence(
          {
            ...network,
            async forward(ids, cache, forwardOptions) {
              // A session that runs everything again at the boundary, but with the old list for the old tokens.
              const isRerun = cache.length === 0 && longest > 0 && ids.length === longest + 1;
              longest = cache.length + ids.length;
              if (!isRerun || forwardOptions.factorList !== 'long') return network.forward(ids, cache, forwardOptions);
              await network.forward(ids.slice(0, -1), cache, {
                ...forwardOptions,
                logits: 'none',
                factorList: 'short',
              });
              return network.forward(ids.slice(-1), cache, forwardOptions);
            },
          },
          options,
        );
      },
    },
  },
  {
    fault: 'a position of the cache overwritten',
    on: 'window',
    suite: 'cache',
    names: /^tokenByToken$/,
    implementation: withOperations((step) => ({
      appendToCache(cache, layer, keys, values) {
        step.appendToCache(cache, layer, keys, values);
        const { cache: held } = cache as typeof cache & { cache: { keys(layer: number): { data: Float32Array } } };
        if (cache.length > 0) held.keys(layer).data.fill(0.5, 0, headDim);
      },
    })),
  },
  {
    fault: 'norm with another epsilon',
    on: 'phi3',
    suite: 'blocks',
    names: /^layers\.0\.inputLayernorm$/,
    implementation: withOperations((step) => ({ rmsNorm: (x, weight) => step.rmsNorm(x, weight, 1e-6) })),
  },
  {
    fault: 'norm behind attention instead of before it',
    on: 'phi3',
    suite: 'blocks',
    names: /^layers\.0\.inputLayernorm$/,
    implementation: withOperations((step) => {
      let norms = 0;
      let linears = 0;
      let kept: { weight: TensorHandle; epsilon: number } | undefined;
      return {
        rmsNorm(x, weight, epsilon) {
          if (norms++ > 0) return step.rmsNorm(x, weight, epsilon);
          kept = { weight, epsilon };
          return step.multiply(x, 1);
        },
        linear(x, weight, bias) {
          const result = step.linear(x, weight, bias);
          return linears++ === 1 && kept ? step.rmsNorm(result, kept.weight, kept.epsilon) : result;
        },
      };
    }),
  },
  {
    fault: 'clamp of gegelu left out',
    on: 'phi3small',
    suite: 'blocks',
    names: /^layers\.0\.gegelu$/,
    implementation: withOperations((step) => ({ gatedActivation: (x, kind) => step.gatedActivation(x, kind) })),
  },
  {
    fault: 'query heads dealt out to key heads in turn',
    on: 'phi3',
    suite: 'blocks',
    names: /^layers\.0\.attention$/,
    implementation: withOperations((step) => ({
      attention(queries, cache, layer, options) {
        // Heads 0 1 2 3 read key heads 0 1 0 1 instead of 0 0 1 1.
        const swap = (head: number): number => [0, 2, 1, 3][head]!;
        const dealt = remade(step, queries, (values, width) => reorderedHeads(values, width, headDim, swap));
        const attended = step.attention(dealt, cache, layer, options);
        return remade(step, attended, (values, width) => reorderedHeads(values, width, headDim, swap));
      },
    })),
  },
  {
    fault: 'vertical blocks the same for every head',
    on: 'phi3small',
    suite: 'blocks',
    names: /^layers\.0\.attention$/,
    implementation: withOperations((step) => ({
      attention: (queries, cache, layer, options) =>
        step.attention(queries, cache, layer, {
          ...options,
          blockSparse: options.blockSparse && { ...options.blockSparse, headStep: 0 },
        }),
    })),
  },
  {
    fault: 'one local block too many',
    on: 'phi3small',
    suite: 'blocks',
    names: /^layers\.0\.attention$/,
    implementation: withOperations((step) => ({
      attention: (queries, cache, layer, options) =>
        step.attention(queries, cache, layer, {
          ...options,
          blockSparse: options.blockSparse && {
            ...options.blockSparse,
            numLocalBlocks: options.blockSparse.numLocalBlocks + 1,
          },
        }),
    })),
  },
  {
    fault: 'dense layers on even indexes',
    on: 'phi3small',
    suite: 'blocks',
    names: /^layers\.0\.attention$/,
    implementation: {
      phi3SmallSelfAttention: (ops, input) =>
        packages.phi3SmallSelfAttention(
          delegate(ops, {
            attention: (queries, cache, layer, { blockSparse, ...options }) =>
              ops.attention(queries, cache, layer, input.index % 2 === 0 ? options : { ...options, blockSparse }),
          }),
          input,
        ),
    },
  },
  {
    fault: 'a bias left out',
    on: 'phi3small',
    suite: 'blocks',
    names: /^layers\.0\.queryKeyValue$/,
    implementation: withOperations((step) => ({ linear: (x, weight) => step.linear(x, weight) })),
  },
  {
    fault: 'the tied head with other rows than the embedding',
    on: 'window',
    suite: 'blocks',
    names: /^head\.logits$/,
    implementation: {
      async loadPhi3Weights(config, loader) {
        const weights = await packages.loadPhi3Weights(config, loader);
        const reversed = Int32Array.from({ length: config.vocabSize }, (_, row) => config.vocabSize - 1 - row);
        return { ...weights, lmHead: await loader.matrix('model.embed_tokens.weight', reversed) };
      },
    },
  },
  {
    fault: 'rows of the fused projection in the order of mini',
    on: 'phi3small',
    suite: 'blocks',
    names: /^layers\.0\.queryKeyValue$/,
    implementation: {
      loadPhi3SmallWeights: (config, loader) =>
        packages.loadPhi3SmallWeights(config, {
          ...loader,
          matrix: (key, order) => loader.matrix(key, key.includes('query_key_value') ? undefined : order),
        }),
    },
  },
  {
    fault: 'keys and values taken from each other',
    on: 'phi3',
    suite: 'blocks',
    names: /^layers\.0\.qkvSplit\.keys$/,
    implementation: withOperations((step) => ({
      columns: (x, start, count) => step.columns(x, start === 32 ? 48 : start === 48 ? 32 : start, count),
    })),
  },
  {
    fault: 'a residual connection left out',
    on: 'phi3',
    suite: 'blocks',
    names: /^layers\.0\.attentionResidual$/,
    implementation: withOperations((step) => ({ add: (_a, b) => step.multiply(b, 1) })),
  },
  {
    fault: 'GELU in the tower instead of its quick form',
    on: 'phi3_v',
    suite: 'blocks',
    names: /^vision\.layers\.0\.quickGelu$/,
    implementation: withOperations((step) => ({ activation: (x) => step.activation(x, 'gelu') })),
  },
  {
    fault: 'quick GELU in the projector instead of the exact one',
    on: 'phi3_v',
    suite: 'blocks',
    names: /^vision\.projector\.gelu$/,
    implementation: withOperations((step) => ({ activation: (x) => step.activation(x, 'quickGelu') })),
  },
  {
    fault: 'separators of the picture exchanged',
    on: 'phi3_v',
    suite: 'blocks',
    names: /^vision\.projector\.projectorInput$/,
    implementation: {
      encodeImage: ({ imageWeights, ...model }, ...rest) =>
        packages.encodeImage(
          { ...model, imageWeights: { ...imageWeights, subGn: imageWeights.glbGn, glbGn: imageWeights.subGn } },
          ...rest,
        ),
    },
  },
  {
    fault: 'a tensor in another dtype',
    on: 'phi3',
    suite: 'files',
    names: /^model\.norm\.weight$/,
    damage: {
      tensor: (tensor) =>
        tensor.name === 'model.norm.weight'
          ? { ...tensor, dtype: 'F16', bytes: encodeFloats(new Float32Array(tensor.bytes.slice().buffer), 'F16') }
          : tensor,
    },
  },
  {
    fault: 'a dtype that config.json does not say',
    on: 'phi3',
    suite: 'files',
    names: /^config\.json$/,
    damage: { config: (config) => ({ ...config, torch_dtype: 'bfloat16' }) },
  },
  {
    fault: 'a file cut short',
    on: 'phi3',
    suite: 'files',
    names: /model\.safetensors|model\./,
    damage: { file: (bytes) => bytes.slice(0, bytes.length - 100) },
  },
  {
    fault: 'a tensor in another shape',
    on: 'phi3',
    suite: 'files',
    names: /^model\.layers\.1\.mlp\.down_proj\.weight$/,
    damage: {
      tensor: (tensor) =>
        tensor.name === 'model.layers.1.mlp.down_proj.weight'
          ? { ...tensor, shape: [...tensor.shape].reverse() }
          : tensor,
    },
  },
  {
    fault: 'a tensor that is missing',
    on: 'phimoe',
    suite: 'files',
    names: /^model\.layers\.1\.block_sparse_moe\.experts\.5\.w3\.weight$/,
    damage: {
      tensor: (tensor) => (tensor.name === 'model.layers.1.block_sparse_moe.experts.5.w3.weight' ? undefined : tensor),
    },
  },
  {
    fault: 'a weight that is not a number',
    on: 'phi3',
    suite: 'files',
    names: /^model\.layers\.0\.mlp\.gate_up_proj\.weight$/,
    damage: {
      tensor(tensor) {
        if (tensor.name !== 'model.layers.0.mlp.gate_up_proj.weight') return tensor;
        const values = new Float32Array(tensor.bytes.slice().buffer);
        values[77] = Number.NaN;
        return { ...tensor, bytes: encodeFloats(values, 'F32') };
      },
    },
  },
  {
    fault: 'another file than its sum says',
    on: 'phi3',
    suite: 'files',
    names: /^model\.safetensors$/,
    options: { hashes: new Map([['model.safetensors', '0'.repeat(64)]]) },
  },
  {
    fault: 'a tokenizer flag that is not the published one',
    on: 'phi3',
    suite: 'tokenizer',
    names: /^addedTokens\.<\|end\|>$/,
    options: { member: 'phi-3-mini-4k' },
    damage: {
      config: withPublishedVocabulary,
      files: tokenizerFiles({ flags: (token) => (token.content === '<|end|>' ? { ...token, rstrip: false } : token) }),
    },
  },
  {
    fault: 'tokenizer files that disagree on a flag',
    on: 'phi3',
    suite: 'tokenizer',
    names: /^tokenizer_config\.json$/,
    damage: {
      config: withPublishedVocabulary,
      files: tokenizerFiles({
        flags: (token) => (token.content === '<|user|>' ? { ...token, rstrip: false } : token),
        inConfigAlone: true,
      }),
    },
  },
  {
    fault: 'the chat template of another member',
    on: 'phi3',
    suite: 'tokenizer',
    names: /^chat_template$/,
    options: { member: 'phi-3-mini-4k' },
    damage: {
      config: withPublishedVocabulary,
      files: tokenizerFiles({
        template:
          "{% for message in messages %}{% if (message['role'] == 'user') %}{{'<|user|>' + '\n' + message['content'] + '<|end|>' + '\n' + '<|assistant|>' + '\n'}}{% elif (message['role'] == 'assistant') %}{{message['content'] + '<|end|>' + '\n'}}{% endif %}{% endfor %}",
      }),
    },
  },
];

async function checkTiny(
  name: string,
  on: TinyName,
  damage: Damage | undefined,
  options: CheckOptions,
): Promise<Report> {
  const path = await writeTiny(join(folder, name.replace(/\W+/g, '-')), on, damage);
  const target = await openTarget(path);
  try {
    return await check(target, options);
  } finally {
    await target.close();
  }
}

const failuresOf = ({ suites }: Report) =>
  suites.flatMap(({ checks }) => checks).filter(({ status }) => status === 'failed');

describe('without a fault all holds', () => {
  for (const on of Object.keys(tinyConfigs) as TinyName[]) {
    it(on, async () => {
      const report = await checkTiny(`right ${on}`, on, undefined, { formats: ['BF16', 'Q8_0'] });
      expect(failuresOf(report)).toEqual([]);
      expect(exitStatus(report)).toBe(0);
    });
  }

  it('the tokenizer files too', async () => {
    const damage = { config: withPublishedVocabulary, files: tokenizerFiles() };
    const report = await checkTiny('right tokenizer', 'phi3', damage, {
      suites: ['tokenizer'],
      member: 'phi-3-mini-4k',
    });
    expect(failuresOf(report)).toEqual([]);
    expect(exitStatus(report)).toBe(0);
  });
});

describe('each fault is found and its place is named', () => {
  it('there are at least 25', () => expect(faults.length).toBeGreaterThanOrEqual(25));

  it.each(faults)('$fault', async ({ fault, on, suite, names, implementation, damage, options }) => {
    const report = await checkTiny(fault, on, damage, {
      suites: [suite],
      ...options,
      implementation: { ...packages, ...implementation },
    });
    expect(exitStatus(report)).toBe(1);
    const failures = failuresOf(report);
    expect(failures[0]?.name, JSON.stringify(failures.slice(0, 3))).toMatch(names);
  });
});
