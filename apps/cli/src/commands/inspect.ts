import { cacheBytesPerToken, estimateMemory, familyMember } from '@phiblocks/runtime';
import { openCheckpoint } from '@phiblocks/runtime/node';
import { printable, sizeOfShape } from '@phiblocks/tensor';
import { Command } from 'commander';
import { modelOption } from '../load-model.ts';
import { note, print } from '../terminal.ts';
import { wholeNumber } from '../usage-error.ts';

interface InspectFlags {
  readonly model: string;
  readonly context?: number;
  readonly tensors?: boolean;
  readonly json?: boolean;
}

export function inspectCommand(): Command {
  return new Command('inspect')
    .description('what is in a checkpoint: member, sizes, formats, and the memory it needs')
    .addOption(modelOption())
    .option(
      '--context <n>',
      'the context length to plan memory for (default: the longest of the model)',
      wholeNumber(1),
    )
    .option('--tensors', 'list every tensor with its format and shape')
    .option('--json', 'print one JSON object')
    .action(inspect);
}

async function inspect(flags: InspectFlags): Promise<void> {
  const checkpoint = await openCheckpoint(flags.model);
  try {
    const { config, weights } = checkpoint;
    const tensors = [...weights.tensors.values()];
    const formats: Record<string, { tensors: number; sizeInBytes: number }> = {};
    let parameters = 0;
    let sizeInBytes = 0;
    for (const tensor of tensors) {
      formats[tensor.format] ??= { tensors: 0, sizeInBytes: 0 };
      const entry = formats[tensor.format]!;
      entry.tensors++;
      entry.sizeInBytes += tensor.sizeInBytes;
      parameters += sizeOfShape(tensor.shape);
      sizeInBytes += tensor.sizeInBytes;
    }
    const contextLength = flags.context ?? config.maxPositionEmbeddings;
    const report = {
      name: checkpoint.name,
      format: checkpoint.format,
      member: familyMember(config) ?? null,
      modelType: config.modelType,
      parameters,
      sizeInBytes,
      formats,
      numHiddenLayers: config.numHiddenLayers,
      hiddenSize: config.hiddenSize,
      intermediateSize: config.intermediateSize,
      numAttentionHeads: config.numAttentionHeads,
      numKeyValueHeads: config.numKeyValueHeads,
      headDim: config.headDim,
      vocabSize: config.vocabSize,
      maxPositionEmbeddings: config.maxPositionEmbeddings,
      slidingWindow: config.slidingWindow ?? null,
      ropeScaling: config.ropeScaling?.type ?? null,
      originalMaxPositionEmbeddings: config.originalMaxPositionEmbeddings ?? null,
      tokenizer: checkpoint.tokenizer?.kind ?? null,
      chatTemplate: checkpoint.chatTemplate ?? null,
      stopTokenIds: checkpoint.generationConfig?.eosTokenIds ?? config.eosTokenIds,
      cacheBytesPerToken: { float32: cacheBytesPerToken(config, 4), float16: cacheBytesPerToken(config, 2) },
      numCrops: checkpoint.preprocessorConfig?.numCrops ?? null,
      memory: {
        contextLength,
        ...estimateMemory(config, {
          weightsInBytes: sizeInBytes,
          contextLength,
          numCrops: checkpoint.preprocessorConfig?.numCrops,
        }),
      },
      warnings: checkpoint.warnings,
      ...(flags.tensors && {
        tensors: tensors.map(({ name, format, shape, file, sizeInBytes: size }) => ({
          name,
          format,
          shape,
          file,
          sizeInBytes: size,
        })),
      }),
    };
    if (flags.json) {
      await print(`${JSON.stringify(report)}\n`);
      return;
    }
    const rows: [string, string][] = [
      ['checkpoint', `${printable(report.name)} (${report.format})`],
      ['member', report.member ?? `none of the published ones (model_type ${config.modelType})`],
      ['parameters', `${grouped(parameters)} in ${tensors.length} tensors, ${bytes(sizeInBytes)}`],
      ...Object.entries(formats).map(([format, entry]): [string, string] => [
        `  ${format}`,
        `${entry.tensors} tensors, ${bytes(entry.sizeInBytes)}`,
      ]),
      ['layers', `${config.numHiddenLayers}, hidden ${config.hiddenSize}, feed-forward ${config.intermediateSize}`],
      [
        'attention',
        `${config.numAttentionHeads} query and ${config.numKeyValueHeads} key/value heads of ${config.headDim}`,
      ],
      ['window', config.slidingWindow === undefined ? 'none' : `${config.slidingWindow} tokens`],
      ['position', positionText(report)],
      ['vocabulary', `${grouped(config.vocabSize)} rows, tokenizer ${report.tokenizer ?? 'missing'}`],
      ['chat format', report.chatTemplate ?? 'none recognised'],
      ['stop ids', report.stopTokenIds.join(', ') || 'none'],
      ['KV cache', `${grouped(report.cacheBytesPerToken.float32)} bytes per token (float32), half in 16 bit`],
      [
        'memory',
        `${bytes(report.memory.totalInBytes)} for a context of ${grouped(contextLength)} on the reference backend`,
      ],
      ['  weights', bytes(report.memory.weightsInBytes)],
      ['  cache', bytes(report.memory.cacheInBytes)],
      ['  one pass', bytes(report.memory.activationsInBytes)],
    ];
    if (config.modelType === 'phi3_v') {
      const crops = report.numCrops === null ? 'crops not stated, 16 assumed' : `up to ${report.numCrops} crops`;
      rows.push(['  one image', `${bytes(report.memory.imageInBytes)} (${crops})`]);
    }
    if (config.modelType === 'phimoe') {
      rows.push(['experts', `${config.numExpertsPerTok} of ${config.numLocalExperts} per token and layer`]);
    }
    await print(rows.map(([label, value]) => `${label.padEnd(12)}  ${value}\n`).join(''));
    for (const { name, format, shape } of report.tensors ?? []) {
      await print(`${format.padEnd(6)} [${shape.join(', ')}]  ${printable(name)}\n`);
    }
    for (const warning of checkpoint.warnings) note(`phiblocks: ${warning}`);
  } finally {
    await checkpoint.close();
  }
}

function positionText(report: {
  maxPositionEmbeddings: number;
  ropeScaling: string | null;
  originalMaxPositionEmbeddings: number | null;
}): string {
  const longest = `up to ${grouped(report.maxPositionEmbeddings)}`;
  if (report.ropeScaling === null) return `${longest}, plain RoPE`;
  return `${longest}, ${report.ropeScaling} from ${grouped(report.originalMaxPositionEmbeddings!)}`;
}

function grouped(value: number): string {
  return value.toLocaleString('en-US');
}

function bytes(count: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let value = count;
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit === 0 ? value : value.toFixed(2)} ${units[unit]}`;
}
