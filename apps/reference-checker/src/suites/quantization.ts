import { rowFits, rowSizeInBytes } from '@phiblocks/quantization';
import type { WeightFormat, WeightMatrix } from '@phiblocks/tensor';
import { createWeightMatrix } from '@phiblocks/weights';
import { failed, figure, passed } from '../compare.ts';
import { type CheckContext, type Findings, notApplicable } from '../context.ts';
import { storedMatrix } from '../definition/decode.ts';
import { compareLogits, forwardAll, promptIds, sampleDifferences } from '../engine/logits.ts';
import type { Check, FormatFigure, LogitDifferences } from '../result.ts';

const tokens = 96;
const most = 2 * 2 ** 30;

/** The formats, widest first. */
export const checkedFormats: readonly WeightFormat[] = [
  'BF16',
  'F16',
  'Q8_0',
  'Q6_K',
  'Q5_K',
  'Q5_1',
  'Q5_0',
  'Q4_K',
  'Q4_1',
  'Q4_0',
];

/**
 * Every weight format against full precision: each weight within what its format can hold, and what that does to the model:
 * Kullback-Leibler divergence, agreement of the likeliest token, perplexity on a text.
 */
export async function checkQuantization(context: CheckContext): Promise<Findings> {
  const { checkpoint, options, implementation, progress, pause } = context;
  const { config, weights, tokenizer } = checkpoint;
  const formats = [...new Set([...weights.tensors.values()].map(({ format }) => format))];
  if (checkpoint.format === 'gguf' && formats.some((format) => format.startsWith('Q'))) {
    return notApplicable(
      `the model is quantized already (${formats.join(', ')}): there is no full precision to compare with`,
    );
  }
  const sizeInBytes = [...weights.tensors.values()].reduce((sum, tensor) => sum + tensor.sizeInBytes, 0);
  if (sizeInBytes > most && !options.suites?.includes('quantization')) {
    return notApplicable(
      `the model has ${Math.round(sizeInBytes / 2 ** 20)} MiB; ask for it with --suite quantization`,
    );
  }
  const length = Math.min(tokens, config.maxPositionEmbeddings);
  const ids = promptIds({ config, tokenizer }, length, options.text);
  const wanted = checkedFormats.filter((format) => options.formats?.includes(format) ?? true);
  const run = async (transform?: (key: string, matrix: WeightMatrix) => WeightMatrix): Promise<Float32Array> => {
    const runner = await context.makeRunner({ transform });
    try {
      return (await forwardAll(runner, ids)).logits;
    } finally {
      await runner.dispose();
    }
  };
  const reference = await run();
  progress(1, wanted.length + 1);
  const referencePerplexity = compareLogits(reference, reference, ids).perplexity;
  const checks: Check[] = [];
  const figures: FormatFigure[] = [];
  const logitDifferences: LogitDifferences[] = [];
  for (const [index, format] of wanted.entries()) {
    await pause();
    const tally: Tally = { bits: 0, weights: 0, worstShare: 0, worst: '', skipped: 0 };
    const logits = await run((key, matrix) => quantized(key, matrix, format, implementation.quantizeRow, tally));
    progress(index + 2, wanted.length + 1);
    if (tally.weights === 0) {
      checks.push(passed(format, 'no matrix of this model has rows of whole blocks'));
      continue;
    }
    const { klDivergence, top1Agreement, perplexity } = compareLogits(reference, logits, ids);
    const effect = `KL divergence ${figure(klDivergence)}, top-1 agreement ${(100 * top1Agreement).toFixed(1)} %, perplexity ${perplexity.toFixed(3)} (${referencePerplexity.toFixed(3)} in full precision)`;
    const left = tally.skipped > 0 ? `; ${tally.skipped} matrices stay, their rows are no whole blocks` : '';
    checks.push(
      tally.worstShare > 1
        ? failed(format, `${tally.worst}; ${effect}`)
        : Number.isFinite(klDivergence)
          ? passed(format, `${effect}${left}`)
          : failed(format, `the logits are not finite: ${effect}`),
    );
    figures.push({
      format,
      bitsPerWeight: tally.bits / tally.weights,
      klDivergence,
      top1Agreement,
      perplexity,
      referencePerplexity,
    });
    logitDifferences.push({ label: format, differences: sampleDifferences(reference, logits) });
  }
  const kind = options.text === undefined ? (tokenizer ? 'a built-in story' : 'random tokens') : 'the given text';
  return { checks, reason: `${ids.length} tokens of ${kind}`, figures: { formats: figures, logitDifferences } };
}

interface Tally {
  bits: number;
  weights: number;
  /** Largest error of a weight, as a share of what its format allows. */
  worstShare: number;
  worst: string;
  skipped: number;
}

function quantized(
  key: string,
  matrix: WeightMatrix,
  format: WeightFormat,
  quantizeRow: CheckContext['implementation']['quantizeRow'],
  tally: Tally,
): WeightMatrix {
  const [rows, columns] = matrix.shape;
  if (!rowFits(format, columns)) {
    tally.skipped++;
    return matrix;
  }
  const size = rowSizeInBytes(format, columns);
  const bytes = new Uint8Array(rows * size);
  const row = new Float32Array(columns);
  const back = new Float32Array(columns);
  // Decoded here, apart from the package that wrote it.
  const decoded = storedMatrix(format, [rows, columns], bytes);
  for (let index = 0; index < rows; index++) {
    matrix.dequantizeRow(index, row);
    quantizeRow(format, row, { out: bytes.subarray(index * size, (index + 1) * size) });
    decoded.decodeRow(index, back);
    for (let i = 0; i < columns; i++) {
      const allowed = allowedError(format, row, i);
      const share = row[i] === back[i] ? 0 : Math.abs(row[i]! - back[i]!) / allowed;
      if (share > tally.worstShare) {
        tally.worstShare = share;
        tally.worst = `${key}[${index}, ${i}]: ${row[i]} is stored as ${back[i]}, off by ${figure(Math.abs(row[i]! - back[i]!))} where ${format} allows ${figure(allowed)}`;
      }
    }
  }
  tally.bits += 8 * bytes.length;
  tally.weights += rows * columns;
  return createWeightMatrix(format, [rows, columns], bytes);
}

/**
 * How far a stored weight may be from its value. Floats: half a unit in the last place, so that truncation, which loses up to
 * a whole one, shows. Blocks: one step of the scale that spans the block; the search for better scales may clip by more
 * than half a step, and by no more than two.
 */
function allowedError(format: WeightFormat, row: Float32Array, i: number): number {
  const value = Math.abs(row[i]!);
  const slack = 1 + 2 ** -12;
  if (format === 'F32') return 0;
  if (format === 'BF16') return slack * Math.max(2 ** (Math.floor(Math.log2(value)) - 8), 2 ** -134);
  if (format === 'F16') return slack * Math.max(2 ** (Math.floor(Math.log2(value)) - 11), 2 ** -25);
  const steps = new Map<WeightFormat, readonly [block: number, steps: number]>([
    ['Q8_0', [32, 127]],
    ['Q6_K', [256, 32]],
    ['Q5_K', [256, 16]],
    ['Q5_1', [32, 15.5]],
    ['Q5_0', [32, 16]],
    ['Q4_K', [256, 8]],
    ['Q4_1', [32, 7.5]],
    ['Q4_0', [32, 8]],
  ]).get(format)!;
  const start = Math.floor(i / steps[0]) * steps[0];
  let largest = 0;
  for (let j = start; j < start + steps[0]; j++) largest = Math.max(largest, Math.abs(row[j]!));
  const step = largest / steps[1];
  return (format === 'Q8_0' ? 0.6 : 2.5) * step + 2 ** -24;
}
