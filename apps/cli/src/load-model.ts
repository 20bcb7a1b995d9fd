import type { LanguageModel } from '@phiblocks/runtime';
import { loadModel } from '@phiblocks/runtime/node';
import { Option } from 'commander';
import { createProgress, note } from './terminal.ts';
import { wholeNumber } from './usage-error.ts';

export interface BackendOptions {
  readonly backend: string;
  readonly threads?: number;
}

/** The options by which every command that computes chooses where. */
export function backendOptions(): Option[] {
  return [
    new Option('--backend <name>', 'what computes').choices(['reference']).default('reference'),
    new Option('--threads <n>', 'threads to compute on').argParser(wholeNumber(1, 1024)),
  ];
}

/** Loads a model with a progress bar; warnings go to standard error. */
export async function loadForCommand(
  path: string,
  options: BackendOptions,
  signal: AbortSignal,
): Promise<LanguageModel> {
  if (options.threads !== undefined && options.threads > 1) {
    note(`phiblocks: the reference backend computes on 1 thread; --threads ${options.threads} makes no difference`);
  }
  const progress = createProgress('Loading');
  try {
    const model = await loadModel(path, {
      signal,
      onProgress: ({ loadedBytes, totalBytes }) => progress.update(loadedBytes, totalBytes),
    });
    for (const warning of model.warnings) note(`phiblocks: ${warning}`);
    return model;
  } finally {
    progress.end();
  }
}
