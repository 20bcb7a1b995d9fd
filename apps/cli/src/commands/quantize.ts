import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadModel } from '@phiblocks/runtime/node';
import { Command, Option } from 'commander';
import { modelOption } from '../load-model.ts';
import { collectImportance } from '../quantize/collect-importance.ts';
import { type ModelSource, openModelSource } from '../quantize/model-source.ts';
import { builtInText, type Comparison, compare, type Predictions, predict } from '../quantize/report.ts';
import { createRowConverters, type RowConverters } from '../quantize/row-converters.ts';
import { formatChoices, isFloatFormat, parseTargets, recipeChoices, type Target } from '../quantize/targets.ts';
import { expectFree, isGgufPath, type WrittenModel, writeModel } from '../quantize/write-model.ts';
import { createInterrupt, note, print } from '../terminal.ts';
import { UsageError, wholeNumber } from '../usage-error.ts';

interface QuantizeFlags {
  readonly model: string;
  readonly to: string;
  readonly recipe?: string;
  readonly calibrate?: string;
  readonly report?: boolean;
  readonly text?: string;
  readonly out?: string;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly threads?: number;
}

/** More would wait for each other's memory; each has a JavaScript engine of its own. */
const mostThreads = 32;

interface ReportRow extends Comparison {
  readonly format: string;
  readonly sizeInBytes: number;
  readonly bitsPerWeight: number;
  readonly rmse: number;
}

export function quantizeCommand(): Command {
  return new Command('quantize')
    .description('write a model in another format: a .gguf file, or for the float formats a checkpoint directory')
    .addOption(modelOption())
    .requiredOption('--to <format>', `${formatChoices}; with --report and without --out several, by commas`)
    .addOption(new Option('--recipe <name>', 'which tensors get more bits').choices(recipeChoices))
    .option('--calibrate <file>', 'a text; inputs that are loud while the model reads it get the smaller errors')
    .option('--report', 'measure the result against the model: size, RMSE, perplexity, KL divergence, top-1 agreement')
    .option('--text <file>', 'with --report: the text to measure on, instead of a short built-in story')
    .option('--out <path>', 'NAME.gguf or a directory; may be left out with --report')
    .option('--force', 'replace an existing .gguf file')
    .addOption(
      new Option('--threads <n>', 'threads to quantize on; default: as many as the machine has').argParser(
        wholeNumber(1, mostThreads),
      ),
    )
    .option('--json', 'print one JSON object and nothing else')
    .action(async (flags: QuantizeFlags) => quantize(flags));
}

async function quantize(flags: QuantizeFlags): Promise<void> {
  const targets = parseTargets(flags.to, flags.recipe);
  expectSensible(flags, targets);
  if (flags.out !== undefined) await expectFree(flags.out, flags.force ?? false);
  const calibrationText = flags.calibrate === undefined ? undefined : await readFile(flags.calibrate, 'utf8');
  const reportText = flags.text === undefined ? builtInText : await readFile(flags.text, 'utf8');

  const { signal, release } = createInterrupt();
  let source: ModelSource | undefined;
  let folder: string | undefined;
  let threads: RowConverters | undefined;
  try {
    source = await openModelSource(flags.model);
    if (flags.out !== undefined && !isGgufPath(flags.out) && source.kind === 'gguf') {
      throw new UsageError('a .gguf model is written as .gguf: a directory needs files that it does not hold');
    }
    const usesModel = calibrationText !== undefined || flags.report;
    const { importance, reference } = usesModel
      ? await runReference(flags.model, calibrationText, flags.report ? reportText : undefined, signal)
      : { importance: new Map<string, Float32Array>(), reference: undefined };
    if (flags.out === undefined) folder = await mkdtemp(join(tmpdir(), 'phiblocks-quantize-'));

    threads = createRowConverters({
      threads: flags.threads ?? Math.min(availableParallelism(), mostThreads),
      signal,
    });
    const { converters } = threads;
    const results: { target: Target; written: WrittenModel; row: ReportRow | undefined }[] = [];
    for (const [index, target] of targets.entries()) {
      const out = flags.out ?? join(folder!, `${index}.gguf`);
      const written = await writeModel(source, target, out, { importance, signal, converters });
      results.push({ target, written, row: reference && (await measure(target, written, out, reference, signal)) });
      if (folder !== undefined) await rm(out);
    }
    const rows = reference && [sourceRow(source, reference), ...results.map(({ row }) => row!)];
    if (flags.json) await print(`${JSON.stringify(jsonOf(flags, results, rows, reference))}\n`);
    else await printResults(flags, source, results, rows, reference);
  } finally {
    release();
    threads?.close();
    await source?.close();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  }
}

function expectSensible(flags: QuantizeFlags, targets: readonly Target[]): void {
  if (flags.out === undefined && !flags.report) throw new UsageError('give --out, or --report to measure only');
  if (flags.out !== undefined && targets.length > 1) {
    throw new UsageError('--to takes one format where --out names one file');
  }
  if (flags.text !== undefined && !flags.report) throw new UsageError('--text goes with --report');
  if (flags.force && flags.out === undefined) throw new UsageError('--force goes with --out');
  const blocks = targets.find(({ format }) => !isFloatFormat(format));
  if (flags.calibrate !== undefined && blocks === undefined) {
    throw new UsageError('--calibrate chooses scales, and the float formats have none');
  }
  if (flags.out !== undefined && !isGgufPath(flags.out) && blocks !== undefined) {
    const format = blocks.format.toLowerCase();
    throw new UsageError(
      `--to ${format} needs --out NAME.gguf: a directory of safetensors holds f16, bf16 or f32 only`,
    );
  }
}

/** What needs the model itself, in one loading of it. */
async function runReference(
  path: string,
  calibrationText: string | undefined,
  reportText: string | undefined,
  signal: AbortSignal,
): Promise<{ importance: ReadonlyMap<string, Float32Array>; reference: Predictions | undefined }> {
  const model = await loadModel(path, { signal });
  try {
    for (const warning of model.warnings) note(`phiblocks: ${warning}`);
    return {
      importance: calibrationText === undefined ? new Map() : await collectImportance(model, calibrationText, signal),
      reference: reportText === undefined ? undefined : await predict(model, reportText, signal),
    };
  } finally {
    await model.dispose();
  }
}

async function measure(
  { label }: Target,
  { sizeInBytes, bitsPerWeight, rmse }: WrittenModel,
  out: string,
  reference: Predictions,
  signal: AbortSignal,
): Promise<ReportRow> {
  const model = await loadModel(out, { signal });
  try {
    const measured = compare(reference, await predict(model, reference, signal));
    return { format: label, sizeInBytes, bitsPerWeight, rmse, ...measured };
  } finally {
    await model.dispose();
  }
}

/** The model as it came, against itself. */
function sourceRow({ tensors }: ModelSource, reference: Predictions): ReportRow {
  const formats = new Set(tensors.filter(({ stored }) => stored.shape.length >= 2).map(({ stored }) => stored.format));
  const sizeInBytes = tensors.reduce((sum, { stored }) => sum + stored.sizeInBytes, 0);
  const weights = tensors.reduce((sum, { stored }) => sum + stored.shape.reduce((a, b) => a * b, 1), 0);
  return {
    format: `source (${[...formats].join(', ')})`,
    sizeInBytes,
    bitsPerWeight: (8 * sizeInBytes) / weights,
    rmse: 0,
    ...compare(reference, reference),
  };
}

function jsonOf(
  { out }: QuantizeFlags,
  results: readonly { target: Target; written: WrittenModel }[],
  rows: readonly ReportRow[] | undefined,
  reference: Predictions | undefined,
) {
  const models = results.map(({ target, written }) => ({
    format: target.label,
    sizeInBytes: written.sizeInBytes,
    bitsPerWeight: written.bitsPerWeight,
    rmse: written.rmse,
    tensors: written.choices.map(({ tensor, format, wanted, reason = null }) => ({ tensor, format, wanted, reason })),
  }));
  const report = rows && { tokens: reference!.numTokens, tokensInText: reference!.tokensInText, rows };
  return { out: out ?? null, models, report: report ?? null };
}

async function printResults(
  { out }: QuantizeFlags,
  source: ModelSource,
  results: readonly { target: Target; written: WrittenModel }[],
  rows: readonly ReportRow[] | undefined,
  reference: Predictions | undefined,
): Promise<void> {
  for (const sentence of source.leftOut) note(`phiblocks: ${sentence}`);
  for (const { written } of results) {
    for (const { tensor, format, wanted, reason } of written.choices) {
      if (reason !== undefined) note(`phiblocks: ${tensor} is ${format}, not ${wanted}: ${reason}`);
    }
  }
  if (out !== undefined) {
    const { target, written } = results[0]!;
    await print(
      `${out}: ${target.label}, ${megabytes(written.sizeInBytes)}, ${written.bitsPerWeight.toFixed(2)} bits per weight\n`,
    );
  }
  if (rows === undefined) return;
  const { numTokens, tokensInText } = reference!;
  if (numTokens < tokensInText) note(`phiblocks: measured on the first ${numTokens} of ${tokensInText} tokens`);
  const header = ['format', 'size', 'bits', 'RMSE', 'perplexity', 'KL', 'top-1'];
  const cells = rows.map((row) => [
    row.format,
    megabytes(row.sizeInBytes),
    row.bitsPerWeight.toFixed(2),
    row.rmse === 0 ? '0' : row.rmse.toExponential(2),
    // Of at most 2,048 tokens; further digits differ between machines. `--json` has all of them.
    row.perplexity.toFixed(2),
    row.klDivergence === 0 ? '0' : row.klDivergence.toExponential(1),
    `${(100 * row.top1Agreement).toFixed(1)} %`,
  ]);
  const widths = header.map((title, column) => Math.max(title.length, ...cells.map((line) => line[column]!.length)));
  for (const line of [header, ...cells]) {
    const padded = line.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!),
    );
    await print(`${padded.join('  ')}\n`);
  }
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`;
