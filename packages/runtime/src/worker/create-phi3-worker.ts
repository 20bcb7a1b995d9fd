import { expectKnownOptions, type FloatTensor } from '@phiblocks/tensor';
import type { ChatMessage, DecodeOptions } from '@phiblocks/tokenizer';
import type { ChosenBackendReport } from '../choose-backend.ts';
import type { GenerateOptions, Generation } from '../generate.ts';
import type { LoadProgress } from '../models/load-weights.ts';
import type { ReadAttentionOptions } from '../read-attention.ts';
import type { PrefillProgress } from '../sequence.ts';
import type { SessionAdvanceOptions, SessionOptions } from '../session.ts';
import type { SaveOptions } from '../session-file.ts';
import { Connection } from './connection.ts';
import type { MessageEndpoint } from './message-endpoint.ts';
import type {
  CheckpointPlace,
  ModelDescription,
  OpenedSession,
  SessionState,
  WorkerMemory,
  WorkerMethods,
  WorkerModelOptions,
} from './protocol.ts';
import type { IgnoredMessages } from './sequence-filter.ts';

/** A worker that holds models. */
export interface Phi3Worker {
  /**
   * Loads a model in the worker: from a web server, from dropped files, or from the origin private file system. Weights are
   * read there, tensor by tensor; nothing holds a file whole.
   *
   * @throws Phi3Error as `createLanguageModel` and the openers of {@link CheckpointPlace}; `WORKER_LOST`; the signal's reason
   * when it aborts
   */
  loadModel(place: CheckpointPlace, options?: WorkerModelOptions): Promise<WorkerLanguageModel>;
  /** Messages that the page and the worker did not act upon. A healthy connection has none. */
  ignoredMessages(): Promise<{ readonly page: IgnoredMessages; readonly worker: IgnoredMessages }>;
  /** Rejects with `WORKER_LOST` when the worker is no more; never resolves. For those who want to know before they ask. */
  readonly lost: Promise<never>;
  /** Ends the worker and everything in it. What waits is rejected with `WORKER_LOST`. */
  dispose(): void;
}

/** A `LanguageModel` in a worker: what a model answers at once there, it answers here with a promise. */
export interface WorkerLanguageModel extends ModelDescription {
  backendReport(): Promise<ChosenBackendReport>;
  memory(): Promise<WorkerMemory>;
  /** As `LanguageModel.encodePrompt`. */
  encodePrompt(text: string, imageTokenCounts?: readonly number[]): Promise<Int32Array>;
  /** As `LanguageModel.encodeChat`. */
  encodeChat(messages: readonly ChatMessage[], imageTokenCounts?: readonly number[]): Promise<Int32Array>;
  /** As `Tokenizer.decode`. */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): Promise<string>;
  /** As `Tokenizer.idToToken`, for several ids at once. */
  tokens(ids: readonly number[]): Promise<(string | undefined)[]>;
  /** As `LanguageModel.numImageTokens`. */
  numImageTokens(size: { readonly width: number; readonly height: number }): Promise<number>;
  fingerprint(): Promise<string>;
  /** As `readAttention` for a model in process. */
  readAttention(ids: ArrayLike<number>, options: ReadAttentionOptions): Promise<FloatTensor>;
  createSession(options?: SessionOptions): Promise<WorkerSession>;
  restoreSession(bytes: Uint8Array, options?: SessionOptions): Promise<WorkerSession>;
  /** As `LanguageModel.generate`: the worker works only as fast as it is read, leaving the loop stops it. */
  generate(options: GenerateOptions, sessionOptions?: SessionOptions): Generation;
  /** Frees the weights and its sessions, and closes the checkpoint. The worker stays. */
  dispose(): Promise<void>;
}

/** A `Session` in a worker. */
export interface WorkerSession {
  readonly model: WorkerLanguageModel;
  readonly contextLength: number;
  readonly ropePolicy: NonNullable<SessionOptions['ropePolicy']>;
  generate(options: GenerateOptions): Generation;
  /** As `Session.advance`, without `onTensor` and `onRouting`: intermediates stay where they are. */
  advance(
    ids: ArrayLike<number>,
    options?: Omit<SessionAdvanceOptions, 'onTensor' | 'onRouting'>,
  ): Promise<FloatTensor>;
  /** The tokens in the cache, and its bytes, now. */
  state(): Promise<SessionState>;
  truncate(length: number): Promise<void>;
  save(options?: SaveOptions): Promise<Uint8Array>;
  dispose(): Promise<void>;
}

/** How to reach a worker. */
export interface Phi3WorkerOptions {
  /** A worker, or a port to one, that runs `runPhi3Worker()`. It belongs to what is created here. */
  readonly worker: MessageEndpoint;
}

/**
 * Connects to a worker that runs `runPhi3Worker()` of `@phiblocks/runtime/worker`, and waits until it answers.
 *
 * The worker file has two lines, `import { runPhi3Worker } from '@phiblocks/runtime/worker'; runPhi3Worker();`, and the page
 * makes the worker in the way that bundlers understand.
 *
 * @throws Phi3Error `WORKER_LOST` when the worker cannot be loaded or ends; `OPTION_UNKNOWN`
 * @example
 * const { port1, port2 } = new MessageChannel(); // stands for a worker
 * runPhi3Worker(port2);
 * const worker = await createPhi3Worker({ worker: port1 });
 * (await worker.ignoredMessages()).worker; // => { unknown: 0, duplicate: 0 }
 * worker.dispose();
 */
export async function createPhi3Worker(options: Phi3WorkerOptions): Promise<Phi3Worker> {
  expectKnownOptions('createPhi3Worker', options, ['worker']);
  const connection = new Connection(options.worker);
  const lost = connection.whenLost.then((error) => Promise.reject(error));
  lost.catch(() => {}); // it need not be listened to

  const locks = typeof options.worker.terminate === 'function' ? browserLocks() : undefined;
  const lockName = locks && `phiblocks-worker-${crypto.randomUUID()}`;
  await connection.call('hello', [lockName]).answer;
  if (lockName !== undefined) void watchLock(connection, locks!, lockName);
  return {
    lost,
    async loadModel(place, loadOptions = {}) {
      const { signal, onProgress, ...sent } = loadOptions;
      signal?.throwIfAborted();
      const onEvent = onProgress && ((value: unknown) => onProgress(value as LoadProgress));
      try {
        const { answer } = connection.call('load', [absolute(place), sent], { signal, onEvent });
        const { model, description } = await answer;
        return workerModel(connection, model, description);
      } catch (error) {
        if (signal?.aborted && !connection.lost) throw signal.reason;
        throw error;
      }
    },
    async ignoredMessages() {
      return { worker: await connection.call('ignored', []).answer, page: connection.ignored };
    },
    dispose() {
      connection.end('it was disposed of');
    },
  };
}

function browserLocks(): LockManager | undefined {
  return typeof navigator === 'undefined' ? undefined : navigator.locks;
}

/**
 * A browser says nothing when a worker is ended or runs out of memory. So the worker holds a lock while it lives, and the page
 * waits for the same lock.
 */
async function watchLock(connection: Connection, locks: LockManager, name: string): Promise<void> {
  const watch = new AbortController();
  void connection.whenLost.then(() => watch.abort());
  try {
    await locks.request(name, { signal: watch.signal }, () => connection.end('it ended'));
  } catch {
    // The connection was lost first, and nobody waits any more.
  }
}

/** A worker resolves relative addresses against its own file, a page means them relative to itself. */
function absolute(place: CheckpointPlace): CheckpointPlace {
  if (!('url' in place)) return place;
  const base = typeof location === 'undefined' ? undefined : location.href;
  return { url: URL.canParse(place.url, base) ? new URL(place.url, base).href : String(place.url) };
}

function workerModel(connection: Connection, model: number, description: ModelDescription): WorkerLanguageModel {
  const self: WorkerLanguageModel = {
    ...description,
    backendReport: () => connection.call('backendReport', [model]).answer,
    memory: () => connection.call('memory', [model]).answer,
    encodePrompt: (text, counts) => connection.call('encodePrompt', [model, text, counts]).answer,
    encodeChat: (messages, counts) => connection.call('encodeChat', [model, messages, counts]).answer,
    decode: (ids, options) => connection.call('decode', [model, plainIds(ids), options]).answer,
    tokens: (ids) => connection.call('tokens', [model, ids]).answer,
    numImageTokens: ({ width, height }) => connection.call('numImageTokens', [model, { width, height }]).answer,
    fingerprint: () => connection.call('fingerprint', [model]).answer,
    readAttention(ids, { signal, ...sent }) {
      return connection.call('readAttention', [model, plainIds(ids), sent], { signal }).answer;
    },
    async createSession(options) {
      return workerSession(connection, self, await connection.call('createSession', [model, options]).answer);
    },
    async restoreSession(bytes, options) {
      return workerSession(connection, self, await connection.call('restoreSession', [model, bytes, options]).answer);
    },
    generate: (options, sessionOptions) => generate(connection, { model, sessionOptions }, options),
    async dispose() {
      if (!connection.lost) await connection.call('disposeModel', [model]).answer;
    },
  };
  return self;
}

function workerSession(
  connection: Connection,
  model: WorkerLanguageModel,
  { session, contextLength, ropePolicy }: OpenedSession,
): WorkerSession {
  return {
    model,
    contextLength,
    ropePolicy,
    generate: (options) => generate(connection, { session }, options),
    async advance(ids, options = {}) {
      const { signal, onProgress, ...sent } = options;
      const onEvent = onProgress && ((value: unknown) => onProgress(value as PrefillProgress));
      return connection.call('advance', [session, plainIds(ids), sent], { signal, onEvent }).answer;
    },
    state: () => connection.call('sessionState', [session]).answer,
    truncate: (length) => connection.call('truncate', [session, length]).answer,
    save: (options) => connection.call('save', [session, options]).answer,
    async dispose() {
      if (!connection.lost) await connection.call('disposeSession', [session]).answer;
    },
  };
}

/** The items of a generation in the worker, asked for one by one. */
async function* generate(
  connection: Connection,
  owner: Parameters<WorkerMethods['generate']>[0],
  options: GenerateOptions,
): Generation {
  const { signal, onPrefill, ...rest } = options;
  const sent = rest.promptIds === undefined ? rest : { ...rest, promptIds: plainIds(rest.promptIds) };
  const onEvent = onPrefill && ((value: unknown) => onPrefill(value as PrefillProgress));
  const opened = connection.call('generate', [owner, sent], { signal, onEvent, staysOpen: true });
  let isOpen = true;
  try {
    await opened.answer;
    for (;;) {
      const result = await connection.call('next', [opened.id]).answer;
      if (result.done) {
        isOpen = false;
        return;
      }
      yield result.value;
    }
  } finally {
    connection.release(opened.id);
    if (isOpen && !connection.lost) await connection.call('return', [opened.id]).answer.catch(() => {});
  }
}

/** Ids of any array-like, such that a message carries them. */
function plainIds(ids: ArrayLike<number>): ArrayLike<number> {
  return Array.isArray(ids) || ArrayBuffer.isView(ids) ? ids : Array.from(ids);
}
