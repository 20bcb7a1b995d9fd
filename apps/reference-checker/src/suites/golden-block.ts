import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createBlockSparsePattern, visibleBlocks } from '@phiblocks/block-sparse-attention';
import { createRotaryTable, inverseFrequencies, type RotaryConfig } from '@phiblocks/longrope';
import { routeSparseMixer } from '@phiblocks/mixture-of-experts';
import { createReferenceBackend } from '@phiblocks/runtime';
import { readImageFile } from '@phiblocks/runtime/node';
import {
  hdTransform,
  hdTransformSize,
  imageTokenCount,
  preprocessImage,
  resizeBicubicGlobal,
  resizeBilinear,
} from '@phiblocks/vision';
import { checkOf, failed, measureWithin, passed } from '../compare.ts';
import { counted } from '../counted.ts';
import type { Golden, GoldenTensor, Target } from '../open-target.ts';
import type { Check } from '../result.ts';

/** The cases that have no model and test one building block. */
export async function checkGoldenBlock(target: Target): Promise<{ checks: Check[]; reason: string }> {
  const golden = target.golden!;
  const checks: Check[] = [];
  const tensor = (name: string): GoldenTensor => golden.tensors.get(name)!;
  const compare = (name: string, got: ArrayLike<number>): void => {
    const { data, shape, tolerance } = tensor(name);
    checks.push(
      checkOf(
        name,
        measureWithin(got, data, tolerance ?? Number.POSITIVE_INFINITY, shape.at(-1)!, 'tolerance of case.json'),
      ),
    );
  };
  switch (golden.family) {
    case 'block-gegelu':
      await compareGegelu(tensor, compare);
      break;
    case 'block-sparsemixer':
      compareRouting(golden, tensor, compare);
      break;
    case 'block-blocksparse-mask':
      compareMasks(golden, tensor, checks);
      break;
    case 'block-rope':
      await compareRotary(target, golden, tensor, compare);
      break;
    case 'block-image-preprocessing':
      await compareImages(target, golden, tensor, compare, checks);
      break;
    default:
      return { checks, reason: `no block is known as ${golden.family}` };
  }
  return { checks, reason: `${golden.family}: ${counted(checks.length, 'comparison')}` };
}

type Compare = (name: string, got: ArrayLike<number>) => void;
type Find = (name: string) => GoldenTensor;

async function compareGegelu(tensor: Find, compare: Compare): Promise<void> {
  const { data, shape } = tensor('input');
  const [rows, width] = shape as [number, number];
  // Even columns are the gate, odd ones the linear part.
  const sorted = new Float32Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const column = i % width;
    sorted[i - column + (column >> 1) + (column % 2 === 1 ? width / 2 : 0)] = data[i]!;
  }
  const backend = createReferenceBackend();
  for (const [name, limit] of [
    ['limit20', 20],
    ['limit3', 3],
    ['no_limit', undefined],
  ] as const) {
    const step = backend.beginStep();
    const result = step.gatedActivation(step.upload({ data: sorted, shape: [rows, width] }), 'gegelu', limit);
    compare(name, (await backend.read(result)).data);
    step.end();
  }
  await backend.dispose();
}

function compareRouting({ description }: Golden, tensor: Find, compare: Compare): void {
  for (const { name, router_jitter_noise: jitterEpsilon } of description.runs as {
    name: string;
    router_jitter_noise: number;
  }[]) {
    const { data, shape } = tensor(`${name}/scores`);
    const scores = { data: data as Float32Array, shape: [...shape] };
    const { expertIds, weights } = routeSparseMixer(scores, { expertsPerToken: 2, jitterEpsilon });
    compare(`${name}/experts`, expertIds);
    compare(`${name}/weights`, weights);
  }
}

function compareMasks({ description, tensors }: Golden, tensor: Find, checks: Check[]): void {
  for (const run of description.runs as {
    name: string;
    heads: number;
    block_size: number;
    num_local_blocks: number;
    vert_stride: number;
    homo_head: boolean;
  }[]) {
    const pattern = createBlockSparsePattern({
      blockSize: run.block_size,
      numLocalBlocks: run.num_local_blocks,
      verticalStride: run.vert_stride,
      numHeads: run.heads,
      homoHeadPattern: run.homo_head,
    });
    const isSeen = (head: number, query: number, key: number): number =>
      visibleBlocks(pattern, head, query).includes(key) ? 1 : 0;
    const packed = tensors.get(`${run.name}/block_mask_bits`);
    const mask = packed ?? tensor(`${run.name}/block_mask`);
    const [heads, queries, last] = mask.shape as [number, number, number];
    const rows = packed ? tensor(`${run.name}/rows`).data : Int32Array.from({ length: queries }, (_, row) => row);
    let wrong: string | undefined;
    for (let head = 0; head < heads; head++) {
      for (let row = 0; row < queries; row++) {
        for (let key = 0; key < last * (packed ? 8 : 1); key++) {
          const at = (head * queries + row) * last;
          const expected = packed ? (mask.data[at + (key >> 3)]! >> (7 - (key & 7))) & 1 : mask.data[at + key]!;
          if (isSeen(head, rows[row]!, key) !== expected)
            wrong ??= `head ${head}, query block ${rows[row]}, key block ${key}`;
        }
      }
    }
    checks.push(
      wrong
        ? failed(mask.name, `${wrong}: should be the other way round`)
        : passed(mask.name, `${heads} × ${queries} × ${last} blocks equal`),
    );
  }
}

interface RotaryFields {
  readonly head_dim?: number;
  readonly hidden_size: number;
  readonly num_attention_heads: number;
  readonly rope_theta: number;
  readonly max_position_embeddings: number;
  readonly original_max_position_embeddings?: number;
  readonly rope_scaling: {
    readonly type: 'longrope' | 'su';
    readonly short_factor: number[];
    readonly long_factor: number[];
    readonly short_mscale?: number;
    readonly long_mscale?: number;
    readonly original_max_position_embeddings?: number;
  };
}

async function compareRotary(target: Target, { description }: Golden, tensor: Find, compare: Compare): Promise<void> {
  // Nothing but what a rotary table depends on: no configuration of a whole model.
  const config = JSON.parse(await readFile(join(target.path, 'config.json'), 'utf8')) as RotaryFields;
  const { rope_scaling: scaling } = config;
  const rotary: RotaryConfig = {
    headDim: config.head_dim ?? config.hidden_size / config.num_attention_heads,
    ropeTheta: config.rope_theta,
    maxPositionEmbeddings: config.max_position_embeddings,
    originalMaxPositionEmbeddings: config.original_max_position_embeddings ?? scaling.original_max_position_embeddings,
    ropeScaling: {
      type: scaling.type,
      shortFactor: scaling.short_factor,
      longFactor: scaling.long_factor,
      shortMscale: scaling.short_mscale,
      longMscale: scaling.long_mscale,
    },
  };
  for (const { name, branch } of description.runs as { name: string; branch: 'short' | 'long' }[]) {
    compare(`${name}/inv_freq`, inverseFrequencies(rotary, branch));
    const positions = Int32Array.from(tensor(`${name}/positions`).data);
    const table = createRotaryTable(rotary, { positions, list: branch });
    for (const [part, values] of [
      ['cos', table.cos],
      ['sin', table.sin],
    ] as const) {
      const pairs = values.shape[1]!;
      const twice = Array.from(
        { length: 2 * values.data.length },
        (_, i) => values.data[Math.floor(i / (2 * pairs)) * pairs + (i % pairs)]!,
      );
      compare(`${name}/${part}`, twice);
    }
  }
}

async function compareImages(
  target: Target,
  { description, tensors }: Golden,
  tensor: Find,
  compare: Compare,
  checks: Check[],
): Promise<void> {
  const rows = description.size_table as [number, number, number, number, number, number][];
  const wrong = rows.find(([width, height, numCrops, hdWidth, hdHeight, count]) => {
    const size = hdTransformSize(width, height, numCrops);
    return size.width !== hdWidth || size.height !== hdHeight || imageTokenCount(size.height, size.width) !== count;
  });
  checks.push(
    wrong
      ? failed('size_table', `a picture of ${wrong[0]} × ${wrong[1]} with ${wrong[2]} crops`)
      : passed('size_table', `${rows.length} sizes`),
  );
  for (const [index, { file, hd_file: hdFile, num_crops: numCrops }] of (
    description.pictures as { file: string; hd_file: string; num_crops: number }[]
  ).entries()) {
    const image = await readImageFile(join(target.path, file));
    const resized = hdTransform(image, { numCrops });
    const expected = await readImageFile(join(target.path, hdFile));
    const worst = expected.data.reduce((most, value, i) => Math.max(most, Math.abs(value - resized.data[i]!)), 0);
    checks.push(
      worst === 0 && expected.data.length === resized.data.length
        ? passed(hdFile, `${expected.width} × ${expected.height}: every byte equal`)
        : failed(hdFile, `a byte differs by ${worst}`),
    );
    const { pixelValues } = preprocessImage(image, { numCrops });
    const [crops, channels, height, width] = pixelValues.shape as [number, number, number, number];
    const sample: number[] = [];
    const means: number[] = [];
    for (let plane = 0; plane < crops * channels; plane++) {
      const pixels = pixelValues.data.subarray(plane * height * width, (plane + 1) * height * width);
      means.push(pixels.reduce((sum, value) => sum + value, 0) / pixels.length);
      for (let y = 3; y < height; y += 16) for (let x = 5; x < width; x += 16) sample.push(pixels[y * width + x]!);
    }
    compare(`picture${index + 1}/pixel_values_mean`, means);
    compare(`picture${index + 1}/pixel_values_sample`, sample);
  }
  for (const name of tensors.keys()) {
    if (!name.endsWith('/input')) continue;
    const input = tensor(name);
    const output = tensor(name.replace(/input$/, 'output'));
    if (name.startsWith('resize')) {
      const [height, width] = output.shape as [number, number, number];
      const image = { width: input.shape[1]!, height: input.shape[0]!, data: input.data as Uint8Array };
      compare(output.name, resizeBilinear(image, width, height).data);
      continue;
    }
    const [, height, width] = output.shape as [number, number, number];
    const resized = resizeBicubicGlobal({ data: input.data as Float32Array, shape: [...input.shape] }, height, width);
    compare(output.name, resized.data);
  }
}
