import { join } from 'node:path';
import { createRotaryTable } from '@phiblocks/longrope';
import { gateUpOrder, queryKeyValueOrder } from '@phiblocks/runtime';
import { readImageFile } from '@phiblocks/runtime/node';
import type { FloatTensor, RoutingHandle, TensorHandle } from '@phiblocks/tensor';
import type { RgbImage } from '@phiblocks/vision';
import { checkOf, failed, measureWithin, passed } from '../compare.ts';
import { type CheckContext, type Findings, notApplicable } from '../context.ts';
import { counted } from '../counted.ts';
import { factorListAt } from '../definition/rotary.ts';
import { argmax, sampleDifferences } from '../engine/logits.ts';
import type { PartRunner } from '../engine/part-runner.ts';
import type { Golden, GoldenTensor } from '../open-target.ts';
import type { Check, LogitDifferences } from '../result.ts';

/** The expected tensors that lie beside a model, in the order of computation. */
export async function checkGolden(context: CheckContext): Promise<Findings> {
  const { golden } = context.target;
  if (!golden) return notApplicable('no case.json with expected.safetensors beside the model');
  const comparison = createComparison(golden);
  const runner = await context.makeRunner();
  try {
    const { cases, runs } = golden.description as { cases?: TrainedCase[]; runs?: { name: string }[] };
    if (cases) {
      for (const [index, trained] of cases.entries()) await compareTrained(context, runner, trained, index, comparison);
    } else if (golden.family === 'phi3_v') {
      await compareVision(context, runner, comparison);
    } else {
      for (const [index, { name }] of (runs ?? []).entries()) {
        await compareRun(context, runner, name, comparison);
        context.progress(index + 1, runs!.length);
      }
      if (golden.tensors.has('batch/input_ids')) await compareBatch(context, runner, comparison);
    }
  } finally {
    await runner.dispose();
  }
  return {
    checks: comparison.checks,
    reason: `${counted(comparison.checks.length, 'comparison')} with ${counted(golden.tensors.size, 'expected tensor')}`,
    figures: { logitDifferences: comparison.logitDifferences },
  };
}

interface TrainedCase {
  readonly prompt_ids: readonly number[];
  readonly greedy_ids: readonly number[];
}

interface Comparison {
  readonly checks: Check[];
  readonly logitDifferences: LogitDifferences[];
  has(name: string): boolean;
  tensor(name: string): GoldenTensor;
  /** Compares with the tensor of that name; `at` picks a part of it. */
  compare(
    name: string,
    got: ArrayLike<number>,
    at?: { readonly label: string; readonly expected: ArrayLike<number> },
  ): void;
  equal(name: string, got: readonly number[], expected: ArrayLike<number>): void;
}

function createComparison({ tensors }: Golden): Comparison {
  const checks: Check[] = [];
  const logitDifferences: LogitDifferences[] = [];
  const tensor = (name: string): GoldenTensor => {
    const found = tensors.get(name);
    if (!found) throw new RangeError(`the case has no tensor ${name}`);
    return found;
  };
  return {
    checks,
    logitDifferences,
    has: (name) => tensors.has(name),
    tensor,
    compare(name, got, at) {
      const { data, shape, tolerance } = tensor(name);
      const expected = at?.expected ?? data;
      const label = at?.label ?? name;
      if (got.length !== expected.length) {
        checks.push(failed(label, `${got.length} numbers instead of ${expected.length}`));
        return;
      }
      const error = measureWithin(
        got,
        expected,
        tolerance ?? Number.POSITIVE_INFINITY,
        shape.at(-1) ?? 1,
        'tolerance of case.json',
      );
      checks.push(checkOf(label, error));
      if (/(^|\/)logits(\.\d+)?$/.test(name)) {
        logitDifferences.push({ label: name, differences: sampleDifferences(expected, got) });
      }
    },
    equal(name, got, expected) {
      const at = got.findIndex((value, i) => value !== expected[i]);
      checks.push(
        got.length === expected.length && at < 0
          ? passed(name, `all ${got.length} equal`)
          : failed(name, `number ${at} is ${got[at]} instead of ${expected[at]}`),
      );
    },
  };
}

/** Collects the rows of every intermediate, chunk after chunk. */
function createRecorder(runner: PartRunner) {
  const rows = new Map<string, FloatTensor>();
  const routings = new Map<string, { ids: number[]; weights: number[] }>();
  return {
    rows,
    routings,
    async onTensor(name: string, handle: TensorHandle): Promise<void> {
      rows.set(name, await runner.backend.read(handle));
    },
    async onRouting(name: string, handle: RoutingHandle): Promise<void> {
      const { expertIds, weights } = await runner.backend.readRouting(handle);
      routings.set(name, { ids: [...expertIds], weights: [...weights] });
    },
  };
}

/** Inner values of layer 0: the name in the case, the name here, and the order of the case. */
const innerValues: readonly (readonly [golden: string, ours: string, order?: 'heads' | 'qkv' | 'gateUp'])[] = [
  ['layer0.input_layernorm', 'inputLayernorm'],
  ['layer0.qkv_proj', 'qkvProj'],
  ['layer0.query_key_value', 'queryKeyValue', 'qkv'],
  ['layer0.q_rot', 'queries', 'heads'],
  ['layer0.k_rot', 'keys', 'heads'],
  ['layer0.attn_context', 'attention'],
  ['layer0.o_proj', 'oProj'],
  ['layer0.dense', 'dense'],
  ['layer0.post_attention_layernorm', 'postAttentionLayernorm'],
  ['layer0.up_proj', 'upProj', 'gateUp'],
  ['layer0.gegelu', 'gegelu'],
  ['layer0.mlp', 'mlp'],
];

async function compareRun(
  { implementation }: CheckContext,
  runner: PartRunner,
  run: string,
  comparison: Comparison,
): Promise<void> {
  const { config } = runner;
  const ids = comparison.tensor(`${run}/input_ids`).data;
  const list = factorListAt(config, ids.length);
  const table = createRotaryTable(runner.rotary, { start: 0, length: ids.length, list });
  for (const [name, part] of [
    ['rope_cos', table.cos],
    ['rope_sin', table.sin],
  ] as const) {
    if (!comparison.has(`${run}/${name}`)) continue;
    const [rows, width] = comparison.tensor(`${run}/${name}`).shape as [number, number];
    const pairs = part.shape[1]!;
    // Some cases keep each pair twice, as the published code does.
    const wide = Float32Array.from(
      { length: rows * width },
      (_, i) => part.data[Math.floor(i / width) * pairs + ((i % width) % pairs)]!,
    );
    comparison.compare(`${run}/${name}`, wide);
  }
  const recorder = createRecorder(runner);
  const sequence = implementation.createSequence(runner.network, { prefillChunkSize: 1024 });
  const logits = await sequence.advance(ids, {
    logits: 'all',
    onTensor: recorder.onTensor,
    onRouting: recorder.onRouting,
  });
  sequence.dispose();

  const hidden = comparison.tensor(`${run}/hidden_states`);
  const layers = hidden.shape[0]!;
  const size = hidden.data.length / layers;
  for (let layer = 0; layer < layers; layer++) {
    const expected = hidden.data.subarray(layer * size, (layer + 1) * size);
    comparison.compare(`${run}/hidden_states`, recorder.rows.get(`hidden.${layer}`)!.data, {
      label: `${run}/hidden_states[${layer}]`,
      expected,
    });
    if (layer === 0) {
      for (const [golden, ours, order] of innerValues) {
        const rows = recorder.rows.get(`layers.0.${ours}`);
        if (!comparison.has(`${run}/${golden}`) || !rows) continue;
        comparison.compare(`${run}/${golden}`, reordered(rows, order, runner));
      }
    }
  }
  compareRouting(run, runner, recorder, ids.length, comparison);
  comparison.compare(`${run}/final_norm`, recorder.rows.get('finalNorm')!.data);
  comparison.compare(`${run}/logits`, logits.data);
  await compareGreedy(implementation, runner, `${run}/`, ids, comparison);
}

function compareRouting(
  run: string,
  { config }: PartRunner,
  { routings }: ReturnType<typeof createRecorder>,
  numTokens: number,
  comparison: Comparison,
): void {
  if (!comparison.has(`${run}/router_experts`)) return;
  const size = 2 * numTokens;
  const experts = comparison.tensor(`${run}/router_experts`).data;
  const weights = comparison.tensor(`${run}/router_weights`).data;
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const routing = routings.get(`layers.${layer}.routing`);
    const [from, to] = [layer * size, (layer + 1) * size];
    comparison.equal(`${run}/router_experts[${layer}]`, routing?.ids ?? [], experts.subarray(from, to));
    comparison.compare(`${run}/router_weights`, routing?.weights ?? [], {
      label: `${run}/router_weights[${layer}]`,
      expected: weights.subarray(from, to),
    });
  }
}

/** Columns in the order that the case keeps. */
function reordered(
  { data, shape }: FloatTensor,
  order: 'heads' | 'qkv' | 'gateUp' | undefined,
  { config }: PartRunner,
): Float32Array {
  const [rows, width] = shape as [number, number];
  const out = new Float32Array(data.length);
  if (order === 'heads') {
    for (let i = 0; i < data.length; i++) {
      const head = Math.floor((i % width) / config.headDim);
      out[(head * rows + Math.floor(i / width)) * config.headDim + (i % config.headDim)] = data[i]!;
    }
    return out;
  }
  if (order === undefined) return data;
  const places = order === 'qkv' ? queryKeyValueOrder(config) : gateUpOrder(config);
  for (let i = 0; i < data.length; i++) out[i - (i % width) + places[i % width]!] = data[i]!;
  return out;
}

async function compareGreedy(
  { createSequence }: CheckContext['implementation'],
  runner: PartRunner,
  prefix: string,
  ids: ArrayLike<number>,
  comparison: Comparison,
  images?: readonly RgbImage[],
): Promise<void> {
  // Where the published code keeps keys of the other list in its cache, what was recomputed is the truth.
  const suffix = comparison.has(`${prefix}greedy_ids_rebuilt`) ? '_rebuilt' : '';
  if (!comparison.has(`${prefix}greedy_ids${suffix}`)) return;
  const expected = comparison.tensor(`${prefix}greedy_ids${suffix}`).data;
  const sequence = createSequence(runner.network, { prefillChunkSize: 4096 });
  const chosen: number[] = [];
  const rows: number[] = [];
  let logits = await sequence.advance(ids, { images });
  while (chosen.length < expected.length) {
    for (const value of logits.data) rows.push(value);
    chosen.push(argmax(logits.data));
    if (chosen.length < expected.length) logits = await sequence.advance([expected[chosen.length - 1]!]);
  }
  sequence.dispose();
  comparison.equal(`${prefix}greedy_ids${suffix}`, chosen, expected);
  comparison.compare(`${prefix}greedy_logits${suffix}`, rows);
}

/** Rows of a left-padded batch, each run alone. */
async function compareBatch(
  { implementation }: CheckContext,
  runner: PartRunner,
  comparison: Comparison,
): Promise<void> {
  const { data: ids, shape } = comparison.tensor('batch/input_ids');
  const mask = comparison.tensor('batch/attention_mask').data;
  const expected = comparison.tensor('batch/logits').data;
  const [rows, length] = shape as [number, number];
  const { vocabSize } = runner.config;
  for (let row = 0; row < rows; row++) {
    const padding = mask.subarray(row * length, (row + 1) * length).indexOf(1);
    const sequence = implementation.createSequence(runner.network);
    const logits = await sequence.advance(ids.slice(row * length + padding, (row + 1) * length), { logits: 'all' });
    sequence.dispose();
    const from = (row * length + padding) * vocabSize;
    comparison.compare('batch/logits', logits.data, {
      label: `batch/logits[${row}]`,
      expected: expected.subarray(from, (row + 1) * length * vocabSize),
    });
  }
}

async function compareTrained(
  { implementation, progress }: CheckContext,
  runner: PartRunner,
  { prompt_ids: ids, greedy_ids: expected }: TrainedCase,
  index: number,
  comparison: Comparison,
): Promise<void> {
  const sequence = implementation.createSequence(runner.network);
  const logits = await sequence.advance(ids, { logits: 'all' });
  comparison.compare(`logits.${index}`, logits.data);
  const width = runner.config.vocabSize;
  let row = logits.data.subarray(logits.data.length - width);
  const chosen: number[] = [];
  while (chosen.length < expected.length) {
    chosen.push(argmax(row));
    progress(chosen.length, expected.length);
    if (chosen.length < expected.length) row = (await sequence.advance([chosen.at(-1)!])).data;
  }
  sequence.dispose();
  comparison.equal(`cases[${index}].greedy_ids`, chosen, expected);
}

async function compareVision(
  { target, implementation, progress }: CheckContext,
  runner: PartRunner,
  comparison: Comparison,
): Promise<void> {
  const described = target.golden!.description.images as { file: string }[];
  const images = await Promise.all(described.map(({ file }) => readImageFile(join(target.path, file))));
  const encoder = runner.network.images;
  if (!encoder) {
    comparison.checks.push(failed('preprocessor_config.json', 'is missing: the model sees no images without it'));
    return;
  }
  const counts = images.map((image) => encoder.numImageTokens(image));
  comparison.equal('num_img_tokens', counts, comparison.tensor('num_img_tokens').data);
  const embeddings: number[] = [];
  const rowSums: number[] = [];
  for (const [index, image] of images.entries()) {
    const seen = new Map<string, FloatTensor>();
    const { data } = await encoder.encode(image, {
      onTensor: async (name, handle) => void seen.set(name, await runner.backend.read(handle)),
    });
    for (const value of data) embeddings.push(value);
    const { data: input, shape } = seen.get('projectorInput')!;
    for (let row = 0; row < shape[0]!; row++) {
      rowSums.push(input.subarray(row * shape[1]!, (row + 1) * shape[1]!).reduce((sum, value) => sum + value, 0));
    }
    const width = shape[1]! / 4;
    const numLayers = [...seen.keys()].filter((name) => name.startsWith('crops.0.hidden.')).length;
    if (index === 0) {
      comparison.compare('vision_global_embeddings', everyNth(seen.get('crops.0.embeddings')!.data, width, 24));
      // The case holds the last layer too, which nothing reads.
      const layers = comparison.tensor('vision_global_layers');
      const size = layers.data.length / layers.shape[0]!;
      for (let layer = 0; layer < numLayers; layer++) {
        comparison.compare('vision_global_layers', everyNth(seen.get(`crops.0.hidden.${layer}`)!.data, width, 24), {
          label: `vision_global_layers[${layer}]`,
          expected: layers.data.subarray(layer * size, (layer + 1) * size),
        });
      }
    }
    const features = comparison.tensor(`vision_features_${index + 1}`);
    const [numCrops, kept] = features.shape as [number, number];
    const got: number[] = [];
    for (let crop = 0; crop < numCrops; crop++) {
      const patches = seen.get(`crops.${crop}.hidden.${numLayers - 1}`)!.data.subarray(width);
      got.push(...everyNth(patches, width, 576 / kept));
    }
    comparison.compare(features.name, got);
    progress(index + 1, images.length + 2);
  }
  comparison.compare('projector_input_row_sums', rowSums);
  const { shape } = comparison.tensor('image_embeddings');
  const { hiddenSize } = runner.config;
  comparison.compare(
    'image_embeddings',
    everyNth(embeddings, hiddenSize, Math.ceil(embeddings.length / hiddenSize / shape[0]!)),
  );

  const ids = comparison.tensor('input_ids').data;
  const positions = comparison.tensor('positions').data;
  const at = (rows: ArrayLike<number>): number[] => {
    const width = rows.length / ids.length;
    return [...positions].flatMap((position) => Array.from({ length: width }, (_, i) => rows[position * width + i]!));
  };
  const recorder = createRecorder(runner);
  const sequence = implementation.createSequence(runner.network, { prefillChunkSize: 4096 });
  const logits = await sequence.advance(ids, {
    images,
    logits: 'all',
    onTensor: async (name, handle) => {
      if (name.startsWith('hidden.') || name === 'finalNorm') await recorder.onTensor(name, handle);
    },
  });
  sequence.dispose();
  const hidden = comparison.tensor('hidden_states');
  const size = hidden.data.length / hidden.shape[0]!;
  for (let layer = 0; layer < hidden.shape[0]!; layer++) {
    comparison.compare('hidden_states', at(recorder.rows.get(`hidden.${layer}`)!.data), {
      label: `hidden_states[${layer}]`,
      expected: hidden.data.subarray(layer * size, (layer + 1) * size),
    });
  }
  comparison.compare('final_norm', at(recorder.rows.get('finalNorm')!.data));
  comparison.compare('logits', at(logits.data));
  await compareGreedy(implementation, runner, '', ids, comparison, images);
}

/** Every nth row, as cases keep large tensors. */
function everyNth(rows: ArrayLike<number>, width: number, step: number): number[] {
  const out: number[] = [];
  for (let row = 0; row * width < rows.length; row += step) {
    for (let i = 0; i < width; i++) out.push(rows[row * width + i]!);
  }
  return out;
}
