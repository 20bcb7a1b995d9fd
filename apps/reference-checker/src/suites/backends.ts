import { availableParallelism } from 'node:os';
import { createWasmBackend, type WasmBackendOptions } from '@phiblocks/backend-wasm';
import { createReferenceBackend } from '@phiblocks/runtime';
import { isPhi3Error } from '@phiblocks/tensor';
import { failed, figure, passed } from '../compare.ts';
import { type CheckContext, type Findings, notApplicable } from '../context.ts';
import { compareLogits, type ForwardResult, forwardAll, promptIds, sampleDifferences } from '../engine/logits.ts';
import { noiseMargin, roundingNoise } from '../engine/sensitivity.ts';
import type { BackendFigure, Check, LogitDifferences } from '../result.ts';

const tokens = 24;
const most = 2 * 2 ** 30;

/** Every backend that this machine has, against the reference backend: each SIMD level, one thread and all of them. */
export async function checkBackends(context: CheckContext): Promise<Findings> {
  const { checkpoint, options, progress, pause } = context;
  const { config, weights, tokenizer } = checkpoint;
  const sizeInBytes = [...weights.tensors.values()].reduce((sum, tensor) => sum + tensor.sizeInBytes, 0);
  if (sizeInBytes > most && !options.suites?.includes('backends')) {
    return notApplicable(`the model has ${Math.round(sizeInBytes / 2 ** 20)} MiB; ask for it with --suite backends`);
  }
  const ids = promptIds({ config, tokenizer }, Math.min(tokens, config.maxPositionEmbeddings));
  const run = async (backend: Parameters<CheckContext['makeRunner']>[0]): Promise<ForwardResult> => {
    const runner = await context.makeRunner(backend);
    try {
      return await forwardAll(runner, ids);
    } finally {
      await runner.dispose();
    }
  };
  const threadCounts = [...new Set([1, Math.min(2, availableParallelism()), availableParallelism()])];
  const variants: WasmBackendOptions[] = (['simd', 'relaxed'] as const).flatMap((simd) =>
    threadCounts.map((threads) => ({ simd, threads, activations: 'f32' as const })),
  );
  const total = variants.length + 2;
  let done = 0;
  const reference = await run({ backend: createReferenceBackend() });
  progress(++done, total);
  const noisy = await run({ backend: createReferenceBackend(), transform: roundingNoise(1) });
  progress(++done, total);
  const budgets = reference.hidden.map((rows, layer) => noiseMargin * largestDifference(rows, noisy.hidden[layer]!));
  const logitBudget = noiseMargin * largestDifference(reference.logits, noisy.logits);

  const checks: Check[] = [];
  const backends: BackendFigure[] = [];
  const logitDifferences: LogitDifferences[] = [];
  for (const variant of variants) {
    await pause();
    const name = `wasm ${variant.simd}, ${variant.threads} ${variant.threads === 1 ? 'thread' : 'threads'}`;
    try {
      const backend = await createWasmBackend(variant);
      const { acceleration, threads } = backend.report();
      const result = await run({ backend });
      const comparison = compareLogits(reference.logits, result.logits, ids);
      const layer = budgets.findIndex(
        (budget, at) => largestDifference(reference.hidden[at]!, result.hidden[at]!) > budget,
      );
      const holds = layer < 0 && comparison.largestDifference <= logitBudget;
      const found = `logits differ by at most ${figure(comparison.largestDifference)}, budget ${figure(logitBudget)}`;
      const place = layer < 0 ? 'the head' : layer === 0 ? 'the embedding' : `layer ${layer - 1}`;
      checks.push(holds ? passed(name, found) : failed(name, `${found}; ${place} is the first beyond its budget`));
      logitDifferences.push({ label: name, differences: sampleDifferences(reference.logits, result.logits) });
      backends.push({
        backend: 'wasm',
        threads,
        acceleration,
        largestDifference: comparison.largestDifference,
        budget: logitBudget,
        klDivergence: comparison.klDivergence,
        top1Agreement: comparison.top1Agreement,
        status: holds ? 'passed' : 'failed',
        note: holds ? '' : `first beyond its budget: ${place}`,
      });
    } catch (error) {
      if (!isPhi3Error(error, 'UNSUPPORTED')) throw error;
      checks.push(passed(name, `not on this machine: ${error.message}`));
    }
    progress(++done, total);
  }
  return {
    checks,
    reason: `${ids.length} tokens, all against the reference backend; budget: ${noiseMargin} times the effect of rounding noise`,
    figures: { backends, logitDifferences },
  };
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
  }
  return largest;
}
