import { existsSync } from 'node:fs';
import { nanoModelNames } from '@phiblocks/nano';
import type { BackendName, ChosenBackendReport, LanguageModel, LanguageModelOptions } from '@phiblocks/runtime';
import { loadModel, locatePackagedCheckpoint } from '@phiblocks/runtime/node';
import type { CacheFormat } from '@phiblocks/tensor';
import { Option } from 'commander';
import { createProgress, note } from './terminal.ts';
import { UsageError, wholeNumber } from './usage-error.ts';

export interface BackendOptions {
  readonly kvCache?: CacheFormat;
  readonly backend: BackendName;
  readonly threads?: number;
  readonly verbose?: boolean;
}

/**
 * The option that names the model: a path, one of the nano models by its name alone, or `@scope/package/checkpoint` for one
 * of an installed package.
 *
 * @param what - what may be at the path
 */
export function modelOption(what = 'a checkpoint directory, a .gguf file, or owner/name[:file] on the hub'): Option {
  return new Option('--model <path>', `${what}; or the name of a nano model, such as nano-mini`)
    .argParser(modelPath)
    .makeOptionMandatory();
}

function modelPath(value: string): string {
  if (existsSync(value)) return value;
  const isNano = nanoModelNames.some((name) => name === value);
  return locatePackagedCheckpoint(isNano ? `@phiblocks/nano/${value}` : value, import.meta.url) ?? value;
}

/** The options by which every command that computes chooses where. */
export function backendOptions(): Option[] {
  return [
    new Option('--backend <name>', 'what computes; auto is WebAssembly where it works, else the reference backend')
      .choices(['auto', 'wasm', 'reference'])
      .default('auto'),
    new Option('--threads <n>', 'threads to compute on; default: as many as the machine has, at most 8').argParser(
      wholeNumber(1, 32),
    ),
    new Option('--verbose', 'say on standard error what computes'),
  ];
}

/** How keys and values are stored, for commands that fill a cache. */
export function kvCacheOption(): Option {
  return new Option('--kv-cache <format>', 'how keys and values are stored: f32 (default), f16 or q8')
    .choices(['f32', 'f16', 'q8'])
    .default('f32');
}

/**
 * Loads a model with a progress bar; warnings go to standard error.
 *
 * @param more - options of the backend on WebAssembly, which the reference backend does without
 */
export async function loadForCommand(
  path: string,
  { backend, threads, verbose, kvCache = 'f32' }: BackendOptions,
  signal: AbortSignal,
  more: LanguageModelOptions['backendOptions'] = undefined,
): Promise<LanguageModel> {
  const isReference = backend === 'reference';
  if (isReference && threads !== undefined && threads > 1) {
    note(`phiblocks: the reference backend computes on 1 thread; --threads ${threads} makes no difference`);
  }
  if (isReference && kvCache !== 'f32') {
    throw new UsageError(
      `the reference backend stores keys and values as f32; --kv-cache ${kvCache} needs --backend wasm`,
    );
  }
  const compact = kvCache === 'f32' ? undefined : { kvCache };
  const progress = createProgress('Loading');
  try {
    const model = await loadModel(path, {
      backend,
      threads: isReference ? undefined : threads,
      backendOptions: isReference || !(more || compact) ? undefined : { ...compact, ...more },
      signal,
      onProgress: ({ loadedBytes, totalBytes }) => progress.update(loadedBytes, totalBytes),
    });
    for (const warning of model.warnings) note(`phiblocks: ${warning}`);
    const report = model.backendReport();
    const isFallback = backend === 'auto' && report.backend === 'reference';
    if (verbose || isFallback) note(`phiblocks: ${[describeBackend(report), ...report.notes].join(' ')}`);
    return model;
  } finally {
    progress.end();
  }
}

/** For example `Computing on wasm (relaxed-simd, 2 threads).` */
function describeBackend(report: ChosenBackendReport): string {
  return `Computing on ${shortBackend(report)}.`;
}

/** For example `wasm (relaxed-simd, 2 threads)`. */
export function shortBackend({ backend, acceleration, threads }: ChosenBackendReport): string {
  const parts = [
    ...(acceleration === 'none' ? [] : [acceleration]),
    `${threads} ${threads === 1 ? 'thread' : 'threads'}`,
  ];
  return `${backend} (${parts.join(', ')})`;
}
