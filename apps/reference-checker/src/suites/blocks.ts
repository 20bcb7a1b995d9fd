import type { ExpertRouting, FloatTensor } from '@phiblocks/tensor';
import type { ModelConfig, Phi3VisionConfig, WeightSource } from '@phiblocks/weights';
import { checkOf, failed, measure, worseOf } from '../compare.ts';
import { type Arithmetic, budgetReasons } from '../definition/arithmetic.ts';
import { decodeAll, storedMatrix } from '../definition/decode.ts';
import type { Defined } from '../definition/define.ts';
import { defineClipEmbedding, defineProjector } from '../definition/image.ts';
import {
  DefinedBlocks,
  type DefinedTensors,
  defineClipLayer,
  defineEmbedding,
  defineHead,
  defineLayer,
  type Station,
  stacked,
} from '../definition/layers.ts';
import type { Call, Tap } from '../engine/part-backend.ts';
import type { PartRunner } from '../engine/part-runner.ts';
import { chooseStations, type StationPlan } from '../engine/stations.ts';
import type { Implementation } from '../implementation.ts';
import type { BlockFigure, Check, ErrorMeasure, Figures, PositionFigure } from '../result.ts';

export interface BlocksOptions {
  readonly runner: PartRunner;
  readonly implementation: Implementation;
  readonly source: WeightSource;
  readonly arithmetic: Arithmetic;
  /** Ids to embed; as many as there are rows are taken, over and over. */
  readonly ids: Int32Array;
  /** Positions at each station; chosen by the model's size when absent. */
  readonly positions?: number | undefined;
  readonly readBytes: (key: string) => Promise<Uint8Array>;
  /** Results of parts that were done before an interruption. */
  readonly saved: BlocksState;
  readonly save: (state: BlocksState) => Promise<void>;
}

/** What is needed to go on after an interruption: the checks so far, and the reference's rows that the next part is fed. */
export interface BlocksState {
  readonly done: number;
  readonly checks: readonly Check[];
  readonly positions: readonly PositionFigure[];
  readonly hidden: readonly number[];
}

export const nothingDone: BlocksState = { done: 0, checks: [], positions: [], hidden: [] };

/**
 * Runs every block of every layer on exactly what the definition says the block before it gives, and compares each result
 * with the definition, element by element.
 */
export async function checkBlocks(options: BlocksOptions): Promise<{ checks: Check[]; figures: Figures }> {
  const { runner, source, arithmetic, readBytes, saved, save } = options;
  const { config } = runner;
  const tensors = definedTensors(source, readBytes);
  const plan = chooseStations(config, source, options.positions);
  const rowPositions = plan.stations.flatMap(({ start, length }) => Array.from({ length }, (_, row) => start + row));
  const ids = Int32Array.from(rowPositions, (_, row) => options.ids[row % options.ids.length]!);
  const recorder = createRecorder(saved);
  let done = saved.done;
  let hidden: Float32Array = Float32Array.from(saved.hidden);
  const finishPart = async (next: Float32Array): Promise<void> => {
    hidden = next;
    done++;
    await save({ done, checks: recorder.checks, positions: recorder.positions, hidden: [...hidden] });
  };

  if (done === 0) {
    const defined = await defineEmbedding(config, tensors, ids);
    recorder.begin(undefined, 'embedding');
    await runPart(runner, defined, recorder, [{ first: 0, count: ids.length }], rowPositions, async (part) => {
      const cache = runner.createCache(1);
      try {
        await runner.embed(ids, cache, { factorList: plan.stations[0]!.list, onTensor: part.settle });
      } finally {
        runner.backend.free(cache);
      }
    });
    await finishPart(lastOf(defined));
  }

  for (let index = done - 1; index < config.numHiddenLayers; index++) {
    const defined = await defineLayer(config, tensors, index, hidden, plan.stations, arithmetic);
    recorder.begin(index, `layer ${index}`);
    const slices = slicesOf(plan);
    await runPart(runner, defined, recorder, slices, rowPositions, async (part) => {
      for (const [number, station] of plan.stations.entries()) {
        part.enter(number);
        await runStation(runner, index, rowsOf(hidden, slices[number]!, config.hiddenSize), station, part);
      }
    });
    await finishPart(lastOf(defined));
  }

  if (done === config.numHiddenLayers + 1) {
    // The head costs a row of the vocabulary per position: a few rows say as much as all.
    const count = Math.min(hidden.length / config.hiddenSize, 8);
    const rows = hidden.slice(0, count * config.hiddenSize);
    const defined = await defineHead(config, tensors, rows, arithmetic);
    recorder.begin(undefined, 'head');
    await runPart(runner, defined, recorder, [{ first: 0, count }], rowPositions, async (part) => {
      const cache = runner.createCache(1);
      try {
        const logits = await runner.head({ data: rows, shape: [count, config.hiddenSize] }, cache, {
          factorList: plan.stations[0]!.list,
          onTensor: part.settle,
        });
        await part.compareValues('logits', logits.data);
      } finally {
        runner.backend.free(cache);
      }
    });
    await finishPart(hidden);
  }

  if (config.modelType === 'phi3_v' && done === config.numHiddenLayers + 2) {
    await checkImageSide(options, config, tensors, recorder);
    await finishPart(hidden);
  }
  return {
    checks: recorder.checks,
    figures: {
      blocks: blockFigures(recorder.checks),
      positions: recorder.positions,
      boundary: config.ropeScaling?.originalMaxPositionEmbeddings,
    },
  };
}

/** Rows of one station among those of all. */
interface Slice {
  readonly first: number;
  readonly count: number;
}

function slicesOf({ stations }: StationPlan): Slice[] {
  let first = 0;
  return stations.map(({ length }) => {
    first += length;
    return { first: first - length, count: length };
  });
}

function rowsOf(rows: Float32Array, { first, count }: Slice, width: number): FloatTensor {
  return { data: rows.slice(first * width, (first + count) * width), shape: [count, width] };
}

/** The past goes into the cache, then the layer runs on the rows of the station. */
async function runStation(
  runner: PartRunner,
  index: number,
  hidden: FloatTensor,
  { start, list, pastKeys, pastValues }: Station,
  part: Part,
): Promise<void> {
  const { config, backend } = runner;
  const cache = runner.createCache(1);
  try {
    if (start > 0) {
      const shape = [start, config.numKeyValueHeads * config.headDim];
      const step = backend.beginStep();
      part.pause(true);
      const keys = step.upload({ data: pastKeys, shape });
      step.appendToCache(cache, 0, keys, step.upload({ data: pastValues, shape }));
      part.pause(false);
      step.end();
      runner.commit(cache, start);
    }
    await runner.layer(index, hidden, cache, {
      factorList: list,
      onTensor: part.settle,
      onRouting: part.routing,
    });
  } finally {
    backend.free(cache);
  }
}

/** Everything that a running part needs to be watched. */
interface Part {
  /** Which slice of the rows runs now. */
  enter(slice: number): void;
  /** Uploads that are not of the model are not looked at. */
  pause(isPaused: boolean): void;
  /** Nothing more of this part is compared once the crop that was compared is over. */
  skip(isOver: boolean): void;
  readonly settle: () => Promise<void>;
  readonly routing: (name: string, routing: Parameters<PartRunner['backend']['readRouting']>[0]) => Promise<void>;
  compareValues(block: string, values: ArrayLike<number>): Promise<void>;
  /** Rows that a block gives in any case, whatever it computed. */
  force(block: string, rows: Float32Array | undefined): void;
}

async function runPart(
  runner: PartRunner,
  defined: DefinedBlocks,
  recorder: Recorder,
  slices: readonly Slice[],
  rowPositions: readonly number[],
  run: (part: Part) => Promise<void>,
  nameOf: BlockNamer = blockName,
): Promise<void> {
  let slice = slices[0]!;
  let isPaused = false;
  let pending: Promise<void>[] = [];
  const seen = new Set<string>();
  const forced = new Map<string, Float32Array>();
  const part: Part = {
    enter: (number) => {
      slice = slices[number]!;
      seen.clear();
    },
    pause: (paused) => {
      isPaused = paused;
    },
    skip: (isOver) => {
      isPaused = isOver;
    },
    async settle() {
      await Promise.all(pending);
      pending = [];
    },
    async routing(_name, handle) {
      const read = await runner.backend.readRouting(handle);
      seen.add('routing');
      recorder.routing(defined, read, slice, rowPositions);
    },
    async compareValues(block, values) {
      seen.add(block);
      recorder.compare(
        block,
        values,
        sliced(defined.blocks.get(block)!, slice),
        reasonOf(defined, block),
        (row) => rowPositions[slice.first + row]!,
      );
    },
    force(block, rows) {
      if (rows) forced.set(block, rows);
      else forced.delete(block);
    },
  };
  const tap: Tap = (call, output, step) => {
    if (isPaused) return output;
    const block = nameOf(call, output.shape, runner.config);
    if (block === undefined) return output;
    const given = forced.get(block);
    if (given) return step.upload({ data: given, shape: output.shape });
    const expected = defined.blocks.get(block);
    if (!expected) return output;
    // One slice is all of a part, whose blocks may differ in rows: patches, and patches with their class token.
    const part = slices.length === 1 ? expected : sliced(expected, slice);
    seen.add(block);
    const shape = [part.exact.length / part.width, part.width];
    if (output.shape[0] !== shape[0] || output.shape[1] !== shape[1]) {
      recorder.fail(block, `the block gives [${output.shape.join(', ')}] instead of [${shape.join(', ')}]`);
    } else {
      const at = slice;
      pending.push(
        runner.backend
          .read(output)
          .then(({ data }) =>
            recorder.compare(block, data, part, reasonOf(defined, block), (row) => rowPositions[at.first + row]!),
          ),
      );
    }
    return step.upload({ data: Float32Array.from(part.exact), shape });
  };
  runner.tap = tap;
  try {
    await run(part);
    await part.settle();
  } catch (error) {
    // A block that cannot be run is as wrong as one that gives other numbers; the first that was not reached is at fault.
    const unreached = [...defined.blocks.keys()].find((block) => !seen.has(block));
    if (isAbort(error)) throw error;
    recorder.fail(
      unreached ?? 'part',
      `could not be computed: ${error instanceof Error ? error.message : String(error)}`,
    );
  } finally {
    runner.tap = undefined;
  }
  for (const block of defined.blocks.keys()) {
    if (!seen.has(block)) recorder.failOnce(block, 'was never computed');
  }
  recorder.end([...defined.blocks.keys()].flatMap((block) => (block === 'experts' ? ['routing', block] : [block])));
}

function isAbort(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ABORTED';
}

function reasonOf(defined: DefinedBlocks, block: string): string {
  return budgetReasons[defined.reasons.get(block) ?? ''] ?? '';
}

function sliced({ exact, budget, width }: Defined, { first, count }: Slice): Defined {
  const [from, to] = [first * width, (first + count) * width];
  return { exact: exact.subarray(from, to), budget: budget.subarray(from, to), width };
}

function lastOf({ blocks }: DefinedBlocks): Float32Array {
  return Float32Array.from([...blocks.values()].at(-1)!.exact);
}

/** Which block an operation is; undefined for one that is none. */
type BlockNamer = (call: Call, shape: readonly number[], config: ModelConfig) => string | undefined;

/** Which block an operation is, by its weight's key or by its turn. */
const blockName: BlockNamer = ({ operation, key, count }, _shape, { modelType }) => {
  const layer = /^model\.layers\.(\d+)\.(.+)\.weight$/.exec(key ?? '');
  switch (operation) {
    case 'embed':
      return key === 'model.embed_tokens.weight' ? 'embedTokens' : undefined;
    case 'multiply':
      return count === 0 ? 'embedMultiplier' : undefined;
    case 'upload':
      return count === 0 ? 'rotaryCos' : count === 1 ? 'rotarySin' : undefined;
    case 'rmsNorm':
    case 'layerNorm':
    case 'linear': {
      if (!layer) return key === 'lm_head.weight' || key === 'model.embed_tokens.weight' ? 'lmHead' : 'finalNorm';
      const name = layer[2]!.split('.').at(-1)!;
      return name === 'down_proj' ? 'mlp' : camelCase(name);
    }
    case 'columns':
      return ['qkvSplit.queries', 'qkvSplit.keys', 'qkvSplit.values'][count];
    case 'rotate':
      return ['queries', 'keys'][count];
    case 'attention':
      return 'attention';
    case 'gatedActivation':
      return modelType === 'phi3small' ? 'gegelu' : 'gated';
    case 'runExperts':
      return 'experts';
    case 'add':
      return ['attentionResidual', 'hidden'][count];
    default:
      return undefined;
  }
};

/** The same on the image side. */
const clipBlockName: BlockNamer = ({ operation, key, count }) => {
  switch (operation) {
    case 'patchEmbedding':
      return 'patchEmbedding';
    case 'layerNorm':
    case 'linear':
      return key?.includes('pre_layrnorm') ? 'preLayerNorm' : camelCase(key?.split('.').at(-2) ?? '');
    case 'fullAttention':
      return 'attention';
    case 'activation':
      return 'quickGelu';
    case 'add':
      return ['embeddings', 'attentionResidual', 'hidden'][count];
    default:
      return undefined;
  }
};

const projectorBlockName =
  (width: number): BlockNamer =>
  ({ operation, key }, shape) => {
    if (operation === 'upload') return shape.length === 2 && shape[1] === width ? 'projectorInput' : undefined;
    if (operation === 'activation') return 'gelu';
    if (key?.includes('pre_layrnorm')) return 'preLayerNorm';
    if (operation !== 'linear') return undefined;
    return key?.includes('img_projection.0') ? 'imgProjection0' : 'imageEmbeddings';
  };

const camelCase = (name: string): string => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

function blockFigures(checks: readonly Check[]): BlockFigure[] {
  return checks.flatMap(({ name, error }) => {
    if (!error) return [];
    const [, tower = '', number, inLayer] = /^(vision\.)?layers\.(\d+)\.(.+)$/.exec(name) ?? [];
    const place = number === undefined ? name.slice(0, name.lastIndexOf('.')) : `${tower && 'v'}${number}`;
    return [
      {
        layer: place.replace('vision.', 'v').replace('embedding', 'emb').replace('projector', 'proj'),
        block: inLayer ?? name.slice(name.lastIndexOf('.') + 1),
        share: error.largestShare,
        relative: error.size > 0 ? error.largestAbsolute / error.size : 0,
      },
    ];
  });
}

/** The tensors of a checkpoint as numbers, decoded here. */
function definedTensors(source: WeightSource, readBytes: (key: string) => Promise<Uint8Array>): DefinedTensors {
  const stored = (key: string) => {
    const tensor = source.tensors.get(key);
    if (!tensor) throw new RangeError(`the checkpoint has no tensor ${key}`);
    return tensor;
  };
  return {
    async matrix(key) {
      const { format, shape } = stored(key);
      return storedMatrix(format, shape, await readBytes(key));
    },
    async vector(key) {
      const { format, shape } = stored(key);
      return decodeAll(format, shape, await readBytes(key));
    },
  };
}

interface Recorder {
  readonly checks: Check[];
  readonly positions: PositionFigure[];
  begin(layer: number | undefined, part: string): void;
  compare(
    block: string,
    got: ArrayLike<number>,
    expected: Defined,
    reason: string,
    positionOf: (row: number) => number,
  ): void;
  routing(defined: DefinedBlocks, read: ExpertRouting, slice: Slice, rowPositions: readonly number[]): void;
  fail(block: string, detail: string): void;
  failOnce(block: string, detail: string): void;
  /** Turns what was measured into checks, in the order of computation. */
  end(order: readonly string[]): void;
}

/** Errors are shown by position for these: what depends on positions, and what it all ends in. */
const plottedBlocks = new Set(['queries', 'keys', 'attention', 'hidden']);

function createRecorder(saved: BlocksState): Recorder {
  const checks = [...saved.checks];
  const positions = [...saved.positions];
  let prefix = '';
  let layer: number | undefined;
  let errors = new Map<string, ErrorMeasure>();
  let failures = new Map<string, string>();
  return {
    checks,
    positions,
    begin(index, part) {
      layer = index;
      prefix = index === undefined ? part : part.startsWith('layer') ? `layers.${index}` : part;
      errors = new Map();
      failures = new Map();
    },
    compare(block, got, expected, reason, positionOf) {
      const error = measure(got, expected, reason, positionOf);
      errors.set(block, worseOf(errors.get(block), error));
      if (!plottedBlocks.has(block) || error.size === 0) return;
      for (let row = 0; row * expected.width < expected.exact.length; row++) {
        let largest = 0;
        for (let i = row * expected.width; i < (row + 1) * expected.width; i++) {
          largest = Math.max(largest, Math.abs(got[i]! - expected.exact[i]!));
        }
        const relative = largest / error.size;
        const position = positionOf(row);
        const known = positions.findIndex((figure) => figure.position === position && figure.block === block);
        if (known < 0) positions.push({ position, block, relative });
        else if (relative > positions[known]!.relative) positions[known] = { position, block, relative };
      }
    },
    routing({ routing }, read, { first, count }, rowPositions) {
      if (!routing) return;
      const got: number[] = [];
      const exact: number[] = [];
      const budget: number[] = [];
      for (let row = 0; row < count; row++) {
        if (routing.isOpen[first + row]) continue;
        for (let choice = 0; choice < 2; choice++) {
          const at = 2 * (first + row) + choice;
          const expert = routing.expertIds[at]!;
          const chosen = read.expertIds[2 * row + choice]!;
          if (chosen !== expert) {
            const position = rowPositions[first + row]!;
            failures.set(
              'routing',
              `choice ${choice + 1} at position ${position}: expert ${chosen} instead of ${expert}`,
            );
          }
          got.push(read.weights[2 * row + choice]!);
          exact.push(routing.weights[at]!);
          budget.push(routing.budget[at]!);
        }
      }
      const expected = { exact: Float64Array.from(exact), budget: Float64Array.from(budget), width: 2 };
      const reason = budgetReasons.routing!;
      errors.set('routing', worseOf(errors.get('routing'), measure(got, expected, reason)));
    },
    fail: (block, detail) => void failures.set(block, detail),
    failOnce(block, detail) {
      if (!failures.has(block) && failures.size === 0) failures.set(block, detail);
    },
    end(order) {
      for (const block of new Set([...order, ...failures.keys()])) {
        const name = `${prefix}.${block}`;
        const failure = failures.get(block);
        const error = errors.get(block);
        if (failure !== undefined) checks.push({ ...failed(name, failure, layer), error });
        else if (error) checks.push(checkOf(name, error, layer));
      }
    },
  };
}

/** A small picture through the tower and the projector: the global view and one crop. */
async function checkImageSide(
  { runner, implementation, arithmetic }: BlocksOptions,
  config: Phi3VisionConfig,
  tensors: DefinedTensors,
  recorder: Recorder,
): Promise<void> {
  const { clipConfig } = config.imgProcessor;
  const { imageSize: side, hiddenSize: W, patchSize } = clipConfig;
  const numTokens = 1 + (side / patchSize) ** 2;
  const numCrops = 2;
  const pixels = Float32Array.from(
    { length: numCrops * 3 * side * side },
    (_, i) => 1.5 * Math.sin(i * 0.37 + (i % 331)),
  );
  const picture = {
    pixelValues: { data: pixels, shape: [numCrops, 3, side, side] },
    imageSize: { height: side, width: side },
    numImageTokens: 0,
  };
  const cropSlices = Array.from({ length: numCrops }, (_, crop) => ({ first: crop * numTokens, count: numTokens }));
  const allRows = Array.from({ length: numCrops * numTokens }, (_, row) => row % numTokens);

  /** Runs the image side with the layers given; a crop is entered when its embeddings are there. */
  const run = (
    only: number | 'none',
    part: Part,
    enterCrop: (crop: number) => void,
    leaveEmbedding: () => void = () => {},
    leaveTower: () => void = () => part.skip(true),
  ): Promise<void> =>
    runner.withImages(only, async (model) => {
      await implementation.encodeImage(model, picture, {
        async onTensor(name) {
          const crop = /^crops\.(\d+)\.embeddings$/.exec(name)?.[1];
          if (crop !== undefined) enterCrop(Number(crop));
          if (/hidden\.0$/.test(name)) leaveEmbedding();
          if (name === 'projectorInput') leaveTower();
          if (/hidden\.\d+$|imageEmbeddings/.test(name)) await part.settle();
        },
      });
    });

  const rows: Float32Array[] = [];
  for (let crop = 0; crop < numCrops; crop++) {
    const length = 3 * side * side;
    const defined = await defineClipEmbedding(
      config,
      tensors,
      pixels.subarray(crop * length, (crop + 1) * length),
      arithmetic,
    );
    if (crop === 0) {
      recorder.begin(undefined, 'vision.embedding');
      const slices = [{ first: 0, count: numTokens }];
      await runPart(
        runner,
        defined,
        recorder,
        slices,
        allRows,
        (part) =>
          run(
            'none',
            part,
            () => {},
            () => part.skip(true),
          ),
        clipBlockName,
      );
    }
    rows.push(lastOf(defined));
  }
  for (let index = 0; index < clipConfig.numHiddenLayers - 1; index++) {
    const definedCrops = [];
    for (const hidden of rows) definedCrops.push(await defineClipLayer(config, tensors, index, hidden, arithmetic));
    const defined = new DefinedBlocks();
    for (const block of definedCrops[0]!.blocks.keys()) {
      defined.set(
        block,
        definedCrops[0]!.reasons.get(block)!,
        stacked(definedCrops.map(({ blocks }) => blocks.get(block)!)),
      );
    }
    recorder.begin(index, `vision.layers.${index}`);
    await runPart(
      runner,
      defined,
      recorder,
      cropSlices,
      allRows,
      (part) =>
        run(index, part, (crop) => {
          part.enter(crop);
          part.force('preLayerNorm', rows[crop]);
        }),
      clipBlockName,
    );
    for (const [crop, { blocks }] of definedCrops.entries())
      rows[crop] = Float32Array.from(blocks.get('hidden')!.exact);
  }
  const features = Float32Array.from(rows.flatMap((hidden) => [...hidden.subarray(W)]));
  const defined = await defineProjector(config, tensors, features, 1, 1, arithmetic);
  recorder.begin(undefined, 'vision.projector');
  const count = defined.blocks.get('projectorInput')!.exact.length / (4 * W);
  const whole = [{ first: 0, count }];
  const positions = Array.from({ length: count }, (_, row) => row);
  await runPart(
    runner,
    defined,
    recorder,
    whole,
    positions,
    (part) =>
      run(
        'none',
        part,
        (crop) => part.force('preLayerNorm', rows[crop]),
        () => {},
        () => {},
      ),
    projectorBlockName(4 * W),
  );
}
