import { Phi3Error } from '@phiblocks/tensor';
import { nodeWorkerThreads, threadsTellIdleTime } from './host.ts';

/** What a worker is sent: everything it needs to join. */
export interface WorkerStart {
  readonly phiblocksWasm: true;
  readonly module: WebAssembly.Module;
  readonly memories: readonly WebAssembly.Memory[];
  readonly thread: number;
  readonly threads: number;
  /** The count of jobs announced before the worker joins. */
  readonly generation: number;
  readonly spins: number;
}

/** A worker of Node or of a browser, as far as this package uses it. */
export interface WorkerLike {
  postMessage(message: unknown): void;
  terminate(): unknown;
  /** Node. */
  on?(event: string, listener: (value: unknown) => void): unknown;
  unref?(): void;
  readonly performance?: { eventLoopUtilization?(): { idle: number } };
  /** Browsers. */
  addEventListener?(event: string, listener: (event: unknown) => void): unknown;
}

/** Makes a worker that runs this package's entry `./worker`. */
export type CreateWorker = () => WorkerLike;

/** The worker beside this file, which is how both Node and bundlers for browsers find it. */
export function createDefaultWorker(): WorkerLike {
  const threads = nodeWorkerThreads();
  if (threads) return new threads.Worker(new URL('./worker.js', import.meta.url), { name: 'phiblocks-wasm' });
  return new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'phiblocks-wasm' });
}

const startTimeoutMs = 30_000;

/** The workers of one backend. They wait in WebAssembly, so that no message is needed to give them work. */
export class ThreadPool {
  readonly #workers: WorkerLike[] = [];
  #lost: string | undefined;
  #closed = false;

  /** Why the pool can no longer be used. */
  get lost(): string | undefined {
    return this.#lost;
  }

  /** Starts workers 1 to threads - 1 and waits until each is ready. */
  async start(createWorker: CreateWorker, start: Omit<WorkerStart, 'thread'>): Promise<void> {
    const ready: Promise<void>[] = [];
    for (let thread = 1; thread < start.threads; thread++) {
      const worker = createWorker();
      this.#workers.push(worker);
      ready.push(this.#whenReady(worker, thread));
      worker.postMessage({ ...start, thread } satisfies WorkerStart);
    }
    try {
      await Promise.all(ready);
    } catch (error) {
      await this.close();
      throw error;
    }
    // Waiting workers must not keep a process alive that has nothing else to do.
    for (const worker of this.#workers) worker.unref?.();
    this.findEnded(); // Node keeps the start of a thread's loop from the first question on, and a stopped one no longer tells it
  }

  markLost(reason: string): void {
    this.#lost ??= reason;
  }

  /**
   * Looks for workers that have ended. A caller that waits for them hears no events, so this asks: the event loop of a thread that
   * was stopped has been idle for -1 ms (Node 20 to 24; elsewhere nothing is found, and a caller gives up after a while).
   */
  findEnded(): void {
    if (!threadsTellIdleTime()) return;
    for (const [index, { performance }] of this.#workers.entries()) {
      const idle = performance?.eventLoopUtilization?.().idle;
      if (idle !== undefined && idle < 0) this.markLost(`worker ${index + 1} ended`);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
    this.#workers.length = 0;
  }

  #whenReady(worker: WorkerLike, thread: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (reason: string, cause?: unknown) => {
        if (this.#closed) return;
        this.markLost(reason);
        reject(workerLost('createWasmBackend', reason, cause));
      };
      const timer = setTimeout(() => fail(`worker ${thread} did not start`), startTimeoutMs);
      const settle = () => {
        clearTimeout(timer);
        resolve();
      };
      if (worker.on) {
        worker.on('message', settle);
        worker.on('error', (error) => {
          clearTimeout(timer);
          fail(`worker ${thread} failed`, error);
        });
        worker.on('exit', () => {
          clearTimeout(timer);
          fail(`worker ${thread} ended`);
        });
      } else {
        worker.addEventListener?.('message', settle);
        worker.addEventListener?.('error', (error) => {
          clearTimeout(timer);
          fail(`worker ${thread} failed`, error);
        });
      }
    });
  }
}

export function workerLost(functionName: string, reason: string, cause?: unknown): Phi3Error {
  return new Phi3Error({
    code: 'WORKER_LOST',
    function: functionName,
    expected: 'every worker thread to answer',
    got: reason,
    hint: 'Dispose of this backend and create another',
    cause,
  });
}
