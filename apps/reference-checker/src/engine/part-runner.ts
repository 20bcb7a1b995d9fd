import type { RotaryConfig } from '@phiblocks/longrope';
import {
  type CausalLanguageModel,
  type Experts,
  expertKeys,
  type ForwardOptions,
  type ImageRows,
  type ImageWeights,
  type Phi3Layer,
  type Phi3SmallLayer,
  type Phi3Vision,
  type PhiMoeLayer,
} from '@phiblocks/runtime';
import type { Backend, CacheHandle, FloatTensor, WeightHandle, WeightMatrix } from '@phiblocks/tensor';
import { hdTransformSize, imageTokenCount, preprocessImage } from '@phiblocks/vision';
import { createWeightMatrix, type ModelConfig, type PreprocessorConfig, type WeightSource } from '@phiblocks/weights';
import type { Implementation } from '../implementation.ts';
import { createLazyLoader, createWeightStore, lazyWeightsIn, type WeightStore } from './lazy-weights.ts';
import { createPartBackend, type Tap } from './part-backend.ts';

/** What a model is made of, opened. */
export interface ModelParts {
  readonly config: ModelConfig;
  readonly weights: WeightSource;
  readonly preprocessorConfig?: PreprocessorConfig | undefined;
}

export interface PartRunnerOptions {
  readonly implementation: Implementation;
  /** Bytes of weights that may stay between parts; a model below it is read once. */
  readonly residentBytes: number;
  readonly transform?: ((key: string, matrix: WeightMatrix) => WeightMatrix) | undefined;
  readonly readBytes?: ((key: string) => Promise<Uint8Array>) | undefined;
  /** Awaited before each part. */
  readonly beforePart?: (() => Promise<void>) | undefined;
  /** Told of every part that was run. */
  readonly onPart?: (() => void) | undefined;
}

/** What a part gets besides its rows. */
export type PartOptions = Pick<ForwardOptions, 'factorList' | 'rotateOnRead' | 'onTensor' | 'onRouting'>;

/**
 * Runs a model in parts: embedding, each layer, head. The parts are the runtime's own forward passes over models that have
 * no layer or one: rows go in as an embedding whose table they are. So what is checked is what runs, and no more than one
 * part's weights are in memory.
 */
export interface PartRunner {
  readonly config: ModelConfig;
  readonly rotary: RotaryConfig;
  readonly backend: Backend;
  readonly numLayers: number;
  tap: Tap | undefined;
  embed(ids: Int32Array, cache: CacheHandle, options: PartOptions, images?: readonly ImageRows[]): Promise<FloatTensor>;
  layer(index: number, hidden: FloatTensor, cache: CacheHandle, options: PartOptions): Promise<FloatTensor>;
  /** Logits of all rows. */
  head(hidden: FloatTensor, cache: CacheHandle, options: PartOptions): Promise<FloatTensor>;
  createCache(numLayers?: number): CacheHandle;
  commit(cache: CacheHandle, numTokens: number): void;
  /** The image side, its layers replaced where given; weights are loaded while `run` lasts. */
  withImages<Result>(only: number | 'none' | 'all', run: (model: Phi3Vision) => Promise<Result>): Promise<Result>;
  /** The runner as the model that sessions run on. */
  readonly network: CausalLanguageModel;
  dispose(): Promise<void>;
}

/** A list of layers that holds one of them and yet says its true index. */
class OneLayer<Layer> extends Array<Layer> {
  constructor(
    private readonly index: number,
    private readonly only: Layer,
  ) {
    super();
  }
  override *entries(): ArrayIterator<[number, Layer]> {
    yield [this.index, this.only];
  }
}

export async function createPartRunner(
  { config, weights: source, preprocessorConfig }: ModelParts,
  plain: Backend,
  options: PartRunnerOptions,
): Promise<PartRunner> {
  const { implementation, residentBytes, beforePart, onPart } = options;
  const inner = implementation.wrapBackend(plain);
  const store: WeightStore = createWeightStore(source, inner, {
    residentBytes,
    readBytes: options.readBytes ?? ((key) => source.readBytes(key)),
    transform(key, matrix) {
      const wrapped = implementation.wrapMatrix(key, matrix);
      return options.transform ? options.transform(key, wrapped) : wrapped;
    },
  });
  let runner: PartRunner;
  const backend = createPartBackend(inner, store, () => runner.tap);
  const rotary = implementation.rotaryConfigOf(config);
  const run = await createForward({ config, weights: source, preprocessorConfig }, backend, rotary, implementation);

  async function part<Result>(needed: unknown, work: () => Promise<Result>): Promise<Result> {
    await beforePart?.();
    await store.load(lazyWeightsIn(needed));
    try {
      return await work();
    } finally {
      store.release();
      onPart?.();
    }
  }

  /** Rows as an embedding: id N is row N. */
  async function withTable<Result>(
    rows: FloatTensor,
    work: (table: WeightHandle, ids: Int32Array) => Promise<Result>,
  ): Promise<Result> {
    const [count, width] = rows.shape as [number, number];
    const bytes = new Uint8Array(rows.data.slice().buffer);
    const table = inner.uploadWeight(createWeightMatrix('F32', [count, width], bytes));
    try {
      return await work(
        table,
        Int32Array.from({ length: count }, (_, row) => row),
      );
    } finally {
      inner.free(table);
    }
  }

  /** Runs a pass and brings back the residual stream of that name. */
  async function captured(
    name: string,
    { onTensor, ...rest }: PartOptions,
    pass: (options: ForwardOptions) => Promise<FloatTensor>,
  ): Promise<FloatTensor> {
    let found: FloatTensor | undefined;
    await pass({
      ...rest,
      logits: 'none',
      async onTensor(tensor, handle) {
        if (tensor === name) found = await backend.read(handle);
        const isOfPart = name === 'hidden.0' ? tensor === name : tensor !== 'hidden.0' && tensor !== 'finalNorm';
        if (isOfPart) await onTensor?.(tensor, handle);
      },
    });
    return found!;
  }

  const scratch = (): CacheHandle =>
    inner.createCache({ numLayers: 1, numKeyValueHeads: config.numKeyValueHeads, headDim: config.headDim });

  runner = {
    config,
    rotary,
    backend,
    numLayers: config.numHiddenLayers,
    tap: undefined,
    embed: (ids, cache, partOptions, images) =>
      part(run.embedTokens, () =>
        captured('hidden.0', partOptions, (forward) => run.pass({ layers: 'none', ids, cache, images }, forward)),
      ),
    layer: (index, hidden, cache, partOptions) =>
      part(run.layers[index], () =>
        withTable(hidden, (table, ids) =>
          captured(`hidden.${index + 1}`, partOptions, (forward) =>
            run.pass({ layers: index, ids, cache, table }, forward),
          ),
        ),
      ),
    head: (hidden, _cache, { onTensor, ...partOptions }) =>
      part(run.head, () =>
        withTable(hidden, async (table, ids) => {
          const cache = scratch();
          try {
            return await run.pass(
              { layers: 'none', ids, cache, table },
              {
                ...partOptions,
                logits: 'all',
                onTensor: async (name, handle) => {
                  if (name === 'finalNorm') await onTensor?.(name, handle);
                },
              },
            );
          } finally {
            inner.free(cache);
          }
        }),
      ),
    createCache: (numLayers = config.numHiddenLayers) =>
      inner.createCache({ numLayers, numKeyValueHeads: config.numKeyValueHeads, headDim: config.headDim }),
    commit(cache, numTokens) {
      const step = inner.beginStep();
      step.commit(cache, numTokens);
      step.end();
    },
    async withImages(only, work) {
      if (!run.images) throw new RangeError('a model without images');
      const images = only === 'all' ? run.images : { ...run.images, layers: layersOf(run.images, only) };
      const needed = typeof only === 'number' ? { ...images, layers: [run.images.layers[only]] } : images;
      return part(needed, () => work(run.vision!(images)));
    },
    get network() {
      return network;
    },
    async dispose() {
      store.free();
      await plain.dispose();
    },
  };

  const numCrops = preprocessorConfig?.numCrops;
  const network: CausalLanguageModel = {
    config,
    rotary,
    backend,
    images:
      numCrops === undefined || !run.images
        ? undefined
        : {
            numImageTokens(size) {
              const { height, width } = hdTransformSize(size.width, size.height, numCrops);
              return imageTokenCount(height, width);
            },
            encode: (image, encodeOptions) =>
              runner.withImages('all', (model) =>
                implementation.encodeImage(model, preprocessImage(image, { numCrops }), encodeOptions),
              ),
          },
    createCache: () => runner.createCache(),
    async forward(ids, cache, { logits, images, betweenLayers, ...partOptions }) {
      let hidden = await runner.embed(ids, cache, partOptions, images);
      for (let index = 0; index < runner.numLayers; index++) {
        await betweenLayers?.();
        hidden = await runner.layer(index, hidden, cache, partOptions);
      }
      runner.commit(cache, ids.length);
      const width = hidden.shape[1]!;
      if (logits === 'none') return { data: new Float32Array(0), shape: [0, config.vocabSize] };
      const wanted = logits === 'all' ? hidden : { data: hidden.data.slice(-width), shape: [1, width] };
      return runner.head(wanted, cache, partOptions);
    },
    dispose: () => store.free(),
  };
  return runner;
}

function layersOf(images: ImageWeights, only: number | 'none'): ImageWeights['layers'] {
  return only === 'none' ? [] : new OneLayer(only, images.layers[only]!);
}

interface Pass {
  readonly layers: number | 'none';
  readonly ids: Int32Array;
  readonly cache: CacheHandle;
  /** In place of the embedding. */
  readonly table?: WeightHandle | undefined;
  readonly images?: readonly ImageRows[] | undefined;
}

interface Forward {
  readonly embedTokens: unknown;
  readonly layers: readonly unknown[];
  readonly head: unknown;
  readonly images: ImageWeights | undefined;
  readonly vision?: (images: ImageWeights) => Phi3Vision;
  pass(pass: Pass, options: ForwardOptions): Promise<FloatTensor>;
}

/** The four classes, each by its own forward pass. */
async function createForward(
  { config, weights: source }: ModelParts,
  backend: Backend,
  rotary: RotaryConfig,
  implementation: Implementation,
): Promise<Forward> {
  const loader = createLazyLoader(source);
  switch (config.modelType) {
    case 'phi3':
    case 'phi3_v': {
      const weights = await implementation.loadPhi3Weights(config, loader);
      const images = config.modelType === 'phi3_v' ? await implementation.loadImageWeights(config, loader) : undefined;
      const common = { config, rotary, backend, selfAttention: implementation.phi3SelfAttention };
      const modelOf = (only: number | 'none', table: WeightHandle | undefined) => ({
        ...common,
        weights: {
          ...weights,
          embedTokens: table ?? weights.embedTokens,
          layers: only === 'none' ? [] : new OneLayer<Phi3Layer>(only, weights.layers[only]!),
        },
      });
      const visionOf = (model: ReturnType<typeof modelOf>, imageWeights: ImageWeights): Phi3Vision => {
        if (config.modelType !== 'phi3_v') throw new RangeError('not a vision model');
        return { language: model, clipConfig: config.imgProcessor.clipConfig, imageWeights, backend };
      };
      return {
        embedTokens: weights.embedTokens,
        layers: weights.layers,
        head: [weights.norm, weights.lmHead],
        images,
        vision: (imageWeights) => visionOf(modelOf('none', undefined), imageWeights),
        pass({ layers, ids, cache, table, images: rows }, options) {
          const model = modelOf(layers, table);
          if (images) {
            return implementation.forwardPhi3Vision(visionOf(model, images), ids, cache, { ...options, images: rows });
          }
          return implementation.forwardPhi3(model, ids, cache, options);
        },
      };
    }
    case 'phi3small': {
      const weights = await implementation.loadPhi3SmallWeights(config, loader);
      const selfAttention = implementation.phi3SmallSelfAttention;
      return {
        embedTokens: weights.embedTokens,
        layers: weights.layers,
        head: [weights.finalLayernorm, weights.lmHead],
        images: undefined,
        pass({ layers, ids, cache, table }, options) {
          const model = {
            // The multiplier belongs to the embedding, not to rows that take its place.
            config: table ? { ...config, mupEmbeddingMultiplier: 1 } : config,
            rotary,
            backend,
            selfAttention,
            weights: {
              ...weights,
              embedTokens: table ?? weights.embedTokens,
              layers: layers === 'none' ? [] : new OneLayer<Phi3SmallLayer>(layers, weights.layers[layers]!),
            },
          };
          return implementation.forwardPhi3Small(model, ids, cache, options);
        },
      };
    }
    case 'phimoe': {
      const weights = await implementation.loadPhiMoeWeights(config, loader);
      const experts = await lazyExperts(config.numHiddenLayers, config.numLocalExperts, loader);
      const all: Experts = { use: async (layer, _routing, use) => use(experts[layer]!), free() {} };
      return {
        embedTokens: weights.embedTokens,
        layers: weights.layers.map((layer, index) => [layer, experts[index]]),
        head: [weights.norm, weights.lmHead],
        images: undefined,
        pass({ layers, ids, cache, table }, options) {
          const model = {
            config,
            rotary,
            backend,
            experts: all,
            selfAttention: implementation.phiMoeSelfAttention,
            weights: {
              ...weights,
              embedTokens: table ?? weights.embedTokens,
              layers: layers === 'none' ? [] : new OneLayer<PhiMoeLayer>(layers, weights.layers[layers]!),
            },
          };
          return implementation.forwardPhiMoe(model, ids, cache, options);
        },
      };
    }
  }
}

async function lazyExperts(numLayers: number, numExperts: number, loader: ReturnType<typeof createLazyLoader>) {
  const layers: { w1: WeightHandle; w2: WeightHandle; w3: WeightHandle }[][] = [];
  for (let layer = 0; layer < numLayers; layer++) {
    const experts: { w1: WeightHandle; w2: WeightHandle; w3: WeightHandle }[] = [];
    for (let expert = 0; expert < numExperts; expert++) {
      const keys = expertKeys(layer, expert);
      experts.push({
        w1: await loader.matrix(keys.w1),
        w2: await loader.matrix(keys.w2),
        w3: await loader.matrix(keys.w3),
      });
    }
    layers.push(experts);
  }
  return layers;
}
