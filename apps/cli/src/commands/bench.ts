import { basename, resolve } from 'node:path';
import { cacheBytesPerStep, type LanguageModel, type Session, weightBytesPerToken } from '@phiblocks/runtime';
import { openCheckpoint } from '@phiblocks/runtime/node';
import type { Backend, CacheFormat, WeightMatrix } from '@phiblocks/tensor';
import { isWeightFormat, type ModelConfig } from '@phiblocks/weights';
import { Command } from 'commander';
import { type BackendOptions, backendOptions, kvCacheOption, loadForCommand, modelOption } from '../load-model.ts';
import { createInterrupt, createProgress, print } from '../terminal.ts';
import { wholeNumber } from '../usage-error.ts';

interface BenchFlags extends BackendOptions {
  readonly model: string;
  readonly promptTokens: number;
  readonly decodeTokens: number;
  readonly context: number;
  readonly json?: boolean;
}

/** What one run measures. Units of memory are decimal: 1 MB is 10^6 bytes. */
interface Measurement {
  readonly model: string;
  readonly backend: string;
  /** Vector instructions; null where there are none. */
  readonly simd: string | null;
  readonly threads: number;
  readonly prefillTokensPerSecond: number;
  /** From `context` tokens in the cache on. */
  readonly decodeTokensPerSecond: number;
  readonly loadSeconds: number;
  /** From the start of loading to the logits behind a prompt of one token. */
  readonly firstTokenSeconds: number;
  /** The most that was resident since the process began. */
  readonly peakMemoryMb: number;
  /** Reading the memory of all weights once, on all threads; null on a backend that cannot tell. */
  readonly bandwidthGbPerSecond: number | null;
  /** Bytes that a token reads (the two below), times decoded tokens per second, over the bandwidth. */
  readonly shareOfBandwidth: number | null;
  readonly kvCache: CacheFormat;
  /** Weights as they lie in memory: of the experts those that a token is sent to, of the embedding one row. */
  readonly weightBytesPerToken: number;
  /** Keys and values that are seen, the mean over the decoded tokens. */
  readonly cacheBytesPerToken: number;
}

export function benchCommand(): Command {
  const command = new Command('bench')
    .description('measure how fast a model reads a prompt and writes on this machine')
    .addOption(modelOption())
    .option('--prompt-tokens <n>', 'length of the prompt', wholeNumber(1), 128)
    .option('--decode-tokens <n>', 'tokens to write', wholeNumber(1), 32)
    .option('--context <n>', 'tokens in the cache before the first that is written', wholeNumber(1), 64)
    .addOption(kvCacheOption())
    .option('--json', 'print one JSON object and nothing else');
  for (const option of backendOptions()) command.addOption(option);
  return command.action(bench);
}

async function bench(flags: BenchFlags): Promise<void> {
  const interrupt = createInterrupt();
  const { signal } = interrupt;
  const started = performance.now();
  const model = await loadForCommand(flags.model, flags, signal);
  const loadSeconds = secondsSince(started);
  const progress = createProgress('Measuring');
  try {
    // The first pass also compiles what runs hot, so that neither of the other two pays for it.
    await withSession(model, (session) => session.advance(idsOf(model, 1), { signal }));
    const firstTokenSeconds = secondsSince(started);

    const total = flags.promptTokens + flags.context + flags.decodeTokens;
    const prefillSeconds = await withSession(model, async (session) => {
      const onProgress = ({ done }: { done: number }) => progress.update(done, total);
      const ids = idsOf(model, flags.promptTokens);
      const begun = performance.now();
      await session.advance(ids, { signal, onProgress });
      return secondsSince(begun);
    });
    const decodeSeconds = await withSession(model, async (session) => {
      await session.advance(idsOf(model, flags.context), { signal });
      const ids = idsOf(model, flags.decodeTokens);
      const begun = performance.now();
      for (const [index, id] of ids.entries()) {
        await session.advance([id], { signal });
        progress.update(total - ids.length + index + 1, total);
      }
      return secondsSince(begun);
    });

    const decodeTokensPerSecond = flags.decodeTokens / decodeSeconds;
    const { backend } = model.network;
    const bandwidth = bytesPerSecond(backend);
    const weightBytes = await weightBytesOf(flags.model, backend);
    const report = model.backendReport();
    const kvCache = report.backend === 'wasm' ? (flags.kvCache ?? 'f32') : 'f32';
    const cacheBytes = meanCacheBytes(model.config, flags, kvCache);
    const share = bandwidth && ((weightBytes + cacheBytes) * decodeTokensPerSecond) / bandwidth;
    const measurement: Measurement = {
      model: basename(resolve(flags.model)),
      backend: report.backend,
      simd: report.acceleration === 'none' ? null : report.acceleration,
      threads: report.threads,
      prefillTokensPerSecond: rounded(flags.promptTokens / prefillSeconds),
      decodeTokensPerSecond: rounded(decodeTokensPerSecond),
      loadSeconds: rounded(loadSeconds),
      firstTokenSeconds: rounded(firstTokenSeconds),
      peakMemoryMb: rounded((process.resourceUsage().maxRSS * 1024) / 1e6),
      bandwidthGbPerSecond: bandwidth === null ? null : rounded(bandwidth / 1e9),
      shareOfBandwidth: share === null ? null : rounded(share),
      kvCache,
      weightBytesPerToken: Math.round(weightBytes),
      cacheBytesPerToken: Math.round(cacheBytes),
    };
    progress.end();
    await print(flags.json ? `${JSON.stringify(measurement)}\n` : tableOf(measurement));
  } finally {
    progress.end();
    interrupt.release();
    await model.dispose();
  }
}

/** Ids that differ, so that no row of the embedding stays in a cache; the same in every run. */
function idsOf(model: LanguageModel, count: number): number[] {
  return Array.from({ length: count }, (_, i) => (i * 7919 + 13) % model.config.vocabSize);
}

async function withSession<Result>(model: LanguageModel, use: (session: Session) => Promise<Result>): Promise<Result> {
  const session = model.createSession();
  try {
    return await use(session);
  } finally {
    session.dispose();
  }
}

/** A backend that can read the memory of its weights and do nothing else, as the one on WebAssembly can. */
interface StreamingBackend extends Backend {
  streamWeights(): { sizeInBytes: number; elapsedMs: number };
  weightSizeInBytes(matrix: Pick<WeightMatrix, 'format' | 'shape'>): number;
}

function canStream(backend: Backend): backend is StreamingBackend {
  return 'streamWeights' in backend;
}

/** The median of five readings of all weights. */
function bytesPerSecond(backend: Backend): number | null {
  if (!canStream(backend)) return null;
  const rates = Array.from({ length: 5 }, () => {
    const { sizeInBytes, elapsedMs } = backend.streamWeights();
    return (1000 * sizeInBytes) / elapsedMs;
  });
  return rates.sort((a, b) => a - b)[2]!;
}

/** As they lie in memory where the backend says so, else as in the file. */
async function weightBytesOf(path: string, backend: Backend): Promise<number> {
  const checkpoint = await openCheckpoint(path);
  try {
    return weightBytesPerToken(checkpoint, ({ format, shape, sizeInBytes }) => {
      if (!canStream(backend) || shape.length !== 2 || !isWeightFormat(format)) return sizeInBytes;
      return backend.weightSizeInBytes({ format, shape: [shape[0]!, shape[1]!] });
    });
  } finally {
    await checkpoint.close();
  }
}

function meanCacheBytes(config: ModelConfig, { context, decodeTokens }: BenchFlags, format: CacheFormat): number {
  let sum = 0;
  for (let i = 1; i <= decodeTokens; i++) sum += cacheBytesPerStep(config, context + i, format);
  return sum / decodeTokens;
}

function secondsSince(started: number): number {
  return (performance.now() - started) / 1000;
}

/** Four significant digits: more would be noise. */
function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

function tableOf(measurement: Measurement): string {
  const rows: [string, string][] = [
    ['model', measurement.model],
    ['backend', [measurement.backend, measurement.simd, `${measurement.threads} thread(s)`].filter(Boolean).join(', ')],
    ['cache', measurement.kvCache],
    ['prompt', `${measurement.prefillTokensPerSecond} tokens/s`],
    ['decode', `${measurement.decodeTokensPerSecond} tokens/s`],
    ['load', `${measurement.loadSeconds} s`],
    ['first token', `${measurement.firstTokenSeconds} s`],
    ['peak memory', `${measurement.peakMemoryMb} MB`],
  ];
  if (measurement.bandwidthGbPerSecond !== null && measurement.shareOfBandwidth !== null) {
    const share = (100 * measurement.shareOfBandwidth).toFixed(1);
    rows.push(['bandwidth', `${measurement.bandwidthGbPerSecond} GB/s, of which decoding uses ${share} %`]);
  }
  return rows.map(([name, value]) => `${name.padEnd(13)} ${value}\n`).join('');
}
