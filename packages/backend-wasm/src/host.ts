/** The parts of Node that this package asks for, where they are; browsers have none of them. */
interface NodeProcess {
  getBuiltinModule?(name: string): unknown;
  readonly versions?: Readonly<Record<string, string | undefined>>;
}

interface NodeWorkerThreads {
  readonly Worker: new (url: URL, options: { name: string }) => NodeWorker;
  readonly parentPort: NodeParentPort | null;
  readonly workerData: unknown;
}

interface NodeWorker {
  on(event: string, listener: (value: unknown) => void): void;
  postMessage(message: unknown): void;
  terminate(): Promise<number>;
  unref(): void;
}

interface NodeParentPort {
  once(event: 'message', listener: (value: unknown) => void): void;
  postMessage(message: unknown): void;
  close(): void;
}

function nodeProcess(): NodeProcess | undefined {
  return typeof process === 'undefined' ? undefined : process;
}

/** A module of Node by name; undefined where there is no Node. An `import` would break bundles for browsers. */
function nodeModule(name: string): unknown {
  return nodeProcess()?.getBuiltinModule?.(name);
}

/** Whether a thread's event loop can be asked how long it was idle. Bun has the function, which only complains on stderr. */
export function threadsTellIdleTime(): boolean {
  return nodeProcess()?.versions?.bun === undefined;
}

export function nodeWorkerThreads(): NodeWorkerThreads | undefined {
  return nodeModule('node:worker_threads') as NodeWorkerThreads | undefined;
}

/** How many threads the machine runs at once; 1 where nobody tells. */
export function availableParallelism(): number {
  const os = nodeModule('node:os') as { availableParallelism(): number } | undefined;
  if (os) return os.availableParallelism();
  return typeof navigator === 'undefined' ? 1 : (navigator.hardwareConcurrency ?? 1);
}

/** Sets a flag of V8 in Node; false elsewhere. */
export function setV8Flag(flag: string): boolean {
  const v8 = nodeModule('node:v8') as { setFlagsFromString(flag: string): void } | undefined;
  v8?.setFlagsFromString(flag);
  return v8 !== undefined;
}

/** Whether this thread may wait for another one: not a browser's main thread. */
export function mayBlock(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0);
    return true;
  } catch {
    return false;
  }
}
