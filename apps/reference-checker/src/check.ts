import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createWasmBackend } from '@phiblocks/backend-wasm';
import { createReferenceBackend, familyMember } from '@phiblocks/runtime';
import { isPhi3Error, Phi3Error } from '@phiblocks/tensor';
import { failed } from './compare.ts';
import type { CheckContext, CheckOptions, Findings, Suite } from './context.ts';
import { float32Sums, float64Sums } from './definition/arithmetic.ts';
import { createPartRunner } from './engine/part-runner.ts';
import { packages } from './implementation.ts';
import type { Target } from './open-target.ts';
import { type Report, reportStatus, type SuiteName, type SuiteResult, suiteStatus } from './result.ts';
import { createStateFile, type StateFile } from './state-file.ts';
import { checkAgainst } from './suites/against.ts';
import { checkBackends } from './suites/backends.ts';
import { checkBlocksOf } from './suites/blocks-of.ts';
import { checkCache } from './suites/cache.ts';
import { checkFiles } from './suites/files.ts';
import { checkGolden } from './suites/golden.ts';
import { checkGoldenBlock } from './suites/golden-block.ts';
import { checkLogits } from './suites/logits.ts';
import { checkQuantization } from './suites/quantization.ts';
import { checkText } from './suites/text.ts';
import { checkTokenizer } from './suites/tokenizer.ts';

/** Weights that may stay in memory between parts. A model below it is read once; a larger one part by part. */
export const residentBytes = 512 * 2 ** 20;

/** In the order in which they run: cheap ones, and those that others rest on, first. */
const suites: ReadonlyMap<SuiteName, Suite> = new Map<SuiteName, Suite>([
  ['files', checkFiles],
  ['tokenizer', checkTokenizer],
  ['golden', checkGolden],
  ['blocks', checkBlocksOf],
  ['logits', checkLogits],
  ['text', checkText],
  ['cache', checkCache],
  ['backends', checkBackends],
  ['quantization', checkQuantization],
  ['against', checkAgainst],
]);

export const suiteNames = [...suites.keys()];

/**
 * Checks a target.
 *
 * @throws Phi3Error `ABORTED` when the signal fires; what was done until then is in the state directory
 */
export async function check(target: Target, options: CheckOptions = {}): Promise<Report> {
  const startedAt = new Date().toISOString();
  const started = performance.now();
  const peak = watchMemory();
  const fingerprint = await fingerprintOf(target, options);
  const state = await createStateFile(options.stateDirectory, fingerprint);
  const results: SuiteResult[] = [];
  try {
    const wanted = options.suites ?? suiteNames.filter((name) => name !== 'against' || options.against !== undefined);
    for (const [name, suite] of suites) {
      if (!wanted.includes(name)) continue;
      const done = state.suite(name);
      results.push(done ?? (await runSuite(name, suite, target, options, state)));
      if (!done) await state.finish(results.at(-1)!);
    }
    await state.remove();
  } catch (error) {
    await state.flush();
    throw error;
  } finally {
    peak.stop();
  }
  return {
    version: 1,
    model: target.name,
    description: describe(target),
    fingerprint,
    startedAt,
    elapsedMs: Math.round(performance.now() - started),
    environment: {
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      threads: availableParallelism(),
    },
    status: reportStatus(results),
    suites: results,
    peakMemoryInBytes: peak.largest(),
  };
}

async function runSuite(
  name: SuiteName,
  suite: Suite,
  target: Target,
  options: CheckOptions,
  state: StateFile,
): Promise<SuiteResult> {
  const started = performance.now();
  let findings: Findings;
  try {
    findings = await findingsOf(name, suite, target, options, state);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (isPhi3Error(error, 'ABORTED')) throw error;
    // A fault that stops a suite is a fault that was found, as far as it is the model's.
    if (!isPhi3Error(error)) throw error;
    const { tensor, file } = error.where;
    findings = { checks: [failed(tensor ?? file ?? name, error.message)], reason: 'stopped by an error' };
  }
  return {
    suite: name,
    status: suiteStatus(findings.checks),
    reason: findings.reason,
    checks: findings.checks,
    elapsedMs: Math.round(performance.now() - started),
    figures: findings.figures,
  };
}

async function findingsOf(
  name: SuiteName,
  suite: Suite,
  target: Target,
  options: CheckOptions,
  state: StateFile,
): Promise<Findings> {
  const { checkpoint, fault, golden } = target;
  if (!checkpoint) {
    if (fault) {
      const { file, tensor, key } = fault.where;
      const place = tensor ?? (key === undefined ? (file ?? 'checkpoint') : `${file ?? 'checkpoint'} ${key}`);
      if (name !== 'files') return { checks: [], reason: 'the checkpoint cannot be opened' };
      return { checks: [failed(place, fault.message)], reason: 'the checkpoint cannot be opened' };
    }
    if (name === 'golden' && golden) return checkGoldenBlock(target);
    return { checks: [], reason: 'a case without a model' };
  }
  const implementation = options.implementation ?? packages;
  const isReference = (options.backend ?? 'reference') === 'reference';
  const pause = async (): Promise<void> => {
    // Signals are heard, and a progress bar drawn.
    await new Promise((resolve) => setImmediate(resolve));
    if (options.signal?.aborted) {
      throw new Phi3Error({ code: 'ABORTED', function: 'check', cause: options.signal.reason });
    }
  };
  const makeBackend: CheckContext['makeBackend'] = async () =>
    isReference
      ? createReferenceBackend()
      : createWasmBackend({
          activations: 'f32',
          ...(options.threads === undefined ? {} : { threads: options.threads }),
        });
  return suite({
    target,
    checkpoint,
    options,
    implementation,
    arithmetic: isReference ? float64Sums : float32Sums,
    pause,
    progress: (done, total) => options.onProgress?.(name, done, total),
    makeBackend,
    makeRunner: async ({ backend, config = checkpoint.config, ...more } = {}) =>
      createPartRunner(
        { config, weights: checkpoint.weights, preprocessorConfig: preprocessorOf(target) },
        backend ?? (await makeBackend()),
        { implementation, residentBytes, beforePart: pause, ...more },
      ),
    loadState: () => state.part(name),
    saveState: (saved) => state.savePart(name, saved),
  });
}

/** Golden cases say the number of crops in case.json; published vision models in preprocessor_config.json. */
function preprocessorOf({ checkpoint, golden }: Target): CheckContext['checkpoint']['preprocessorConfig'] {
  const numCrops = golden?.description.num_crops;
  return checkpoint?.preprocessorConfig ?? (typeof numCrops === 'number' ? { numCrops, warnings: [] } : undefined);
}

/** Tells one check from another: the model's files by name, size and time, its configuration, and what is asked. */
async function fingerprintOf({ path, checkpoint, fault }: Target, options: CheckOptions): Promise<string> {
  const hash = createHash('sha256');
  const { suites: wanted, backend, positions, member, text, formats, against, threads } = options;
  hash.update(JSON.stringify({ wanted, backend, positions, member, text, formats, against, threads }));
  hash.update(fault?.message ?? JSON.stringify(checkpoint?.config ?? {}));
  const files = new Set([...(checkpoint?.weights.tensors.values() ?? [])].map(({ file }) => file));
  for (const { name, format, shape } of checkpoint?.weights.tensors.values() ?? [])
    hash.update(`${name} ${format} ${shape};`);
  for (const file of files) {
    const found = await stat(join(path, file)).catch(() => stat(path).catch(() => undefined));
    hash.update(`${file} ${found?.size} ${found?.mtimeMs};`);
  }
  return hash.digest('hex').slice(0, 16);
}

function describe({ checkpoint, fault, golden, kind }: Target): string {
  if (!checkpoint) return fault ? 'a checkpoint that cannot be opened' : `golden case of ${golden?.family}`;
  const { config, weights } = checkpoint;
  const sizeInBytes = [...weights.tensors.values()].reduce((sum, tensor) => sum + tensor.sizeInBytes, 0);
  const what = familyMember(config) ?? `${config.modelType}, no published sizes`;
  const formats = [...new Set([...weights.tensors.values()].map(({ format }) => format))].join(', ');
  const golds = golden ? ', with expected tensors' : '';
  return `${what}: ${config.numHiddenLayers} layers of ${config.hiddenSize}, ${formats}, ${(sizeInBytes / 2 ** 20).toFixed(1)} MiB (${kind}${golds})`;
}

/** The resident set, looked at ten times a second and at the end. */
function watchMemory(): { largest(): number; stop(): void } {
  let largest = 0;
  const look = (): void => {
    largest = Math.max(largest, process.memoryUsage.rss(), process.resourceUsage().maxRSS * 1024);
  };
  const timer = setInterval(look, 100);
  timer.unref();
  return {
    largest: () => {
      look();
      return largest;
    },
    stop: () => clearInterval(timer),
  };
}
