import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Phi3Error } from '@phiblocks/tensor';
import { convertRows, type RowsResult, type RowsToConvert } from './convert-rows.ts';

/** Converts some rows. One call at a time. */
export type RowConverter = (rows: RowsToConvert) => Promise<RowsResult>;

/** As many converters as there are threads. */
export interface RowConverters {
  readonly converters: readonly RowConverter[];
  /** Ends the threads; what they were at is rejected. */
  close(): void;
}

export interface RowConvertersOptions {
  readonly threads: number;
  /** Ends the threads at once, in the middle of a row. */
  readonly signal: AbortSignal;
  /** The script of a thread. */
  readonly workerUrl?: URL;
}

/**
 * Threads to convert rows on. With one thread it is the caller's own, which looks up for signals after each piece; with more,
 * each is a worker that starts with its first piece, and the caller's thread only reads, writes and listens.
 *
 * A worker that ends by itself fails its piece with `WORKER_LOST`.
 */
export function createRowConverters({ threads, signal, workerUrl }: RowConvertersOptions): RowConverters {
  if (threads === 1) return { converters: [convertHere(signal)], close() {} };
  // Beside the one file that the build makes of everything else.
  const url = workerUrl ?? new URL('./quantize-worker.js', import.meta.url);
  const workers = Array.from({ length: threads }, () => createWorkerConverter(url));
  const onAbort = () => end(signal.reason);
  const end = (reason: unknown): void => {
    signal.removeEventListener('abort', onAbort);
    for (const worker of workers) worker.end(reason);
  };
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  return {
    converters: workers.map(({ convert }) => convert),
    close: () => end(lost('the threads are closed')),
  };
}

function convertHere(signal: AbortSignal): RowConverter {
  return async (rows) => {
    await setImmediate(); // signals are heard
    signal.throwIfAborted();
    return convertRows(rows);
  };
}

function createWorkerConverter(url: URL): { convert: RowConverter; end(reason: unknown): void } {
  let worker: Worker | undefined;
  let pending: { resolve(result: RowsResult): void; reject(reason: unknown): void } | undefined;
  let ended: { readonly reason: unknown } | undefined;
  const end = (reason: unknown): void => {
    ended ??= { reason };
    pending?.reject(ended.reason);
    pending = undefined;
    void worker?.terminate();
  };
  const start = (): Worker => {
    const started = new Worker(url);
    started.on('message', (result: RowsResult) => {
      pending?.resolve(result);
      pending = undefined;
    });
    started.on('error', (cause) => end(lost(cause.message, cause)));
    started.on('messageerror', (cause) => end(lost(cause.message, cause)));
    started.on('exit', (status) => end(lost(`exit status ${status}`)));
    return started;
  };
  return {
    end,
    convert: (rows) =>
      new Promise((resolve, reject) => {
        if (ended) return reject(ended.reason);
        pending = { resolve, reject };
        worker ??= start();
        worker.postMessage(rows, [rows.source.buffer]);
      }),
  };
}

const lost = (got: string, cause?: unknown): Phi3Error =>
  new Phi3Error({
    code: 'WORKER_LOST',
    function: 'quantize',
    expected: 'threads that run to the end',
    got,
    hint: 'Nothing was written. Where memory is short, fewer --threads need less',
    ...(cause === undefined ? {} : { cause }),
  });
