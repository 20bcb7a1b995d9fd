import { Phi3Error } from '@phiblocks/tensor';
import type { Tokenizer } from '@phiblocks/tokenizer';
import { openCheckpointAtUrl } from '../browser/open-checkpoint-at-url.ts';
import { openCheckpointInOpfs } from '../browser/open-checkpoint-in-opfs.ts';
import { openCheckpointOfFiles } from '../browser/open-checkpoint-of-files.ts';
import type { Checkpoint } from '../checkpoint.ts';
import type { Generation } from '../generate.ts';
import { createLanguageModel, type LanguageModel } from '../language-model.ts';
import { readAttention } from '../read-attention.ts';
import type { Session } from '../session.ts';
import { backendMemoryInBytes } from './backend-memory.ts';
import { packError } from './error-transfer.ts';
import type { MessageEndpoint } from './message-endpoint.ts';
import {
  type CheckpointPlace,
  type MethodName,
  type OpenedSession,
  readEnvelope,
  type WorkerMessage,
  type WorkerMethods,
} from './protocol.ts';
import { SequenceFilter } from './sequence-filter.ts';

/** What a method may use of the call it serves. */
interface Call {
  readonly id: number;
  readonly signal: AbortSignal;
  /** Tells the callback in the page. */
  tell(value: unknown): void;
}

type Served<Method extends MethodName> = (
  call: Call,
  ...args: Parameters<WorkerMethods[Method]>
) => ReturnType<WorkerMethods[Method]> | Promise<ReturnType<WorkerMethods[Method]>>;

interface LoadedModel {
  readonly model: LanguageModel;
  readonly weightsInBytes: number;
  readonly sessions: Set<number>;
}

/**
 * Serves the calls of `createPhi3Worker`: the whole content of a worker file.
 *
 * ```ts
 * import { runPhi3Worker } from '@phiblocks/runtime/worker';
 * runPhi3Worker();
 * ```
 *
 * Files are opened and weights are read in the worker; a message never carries them.
 *
 * @param endpoint - the connection to the page; default: the global scope of the worker
 * @throws Phi3Error `UNSUPPORTED` when it is called in a page instead of a worker
 */
export function runPhi3Worker(endpoint: MessageEndpoint = workerScope()): void {
  const filter = new SequenceFilter();
  const models = new Map<number, LoadedModel>();
  const sessions = new Map<number, Session>();
  const generations = new Map<number, Generation>();
  /** Signals of calls that are served, and of generations as long as they are open. */
  const controllers = new Map<number, AbortController>();
  let lastSequence = 0;

  const send = (message: DistributiveOmit<WorkerMessage, 'phiblocks' | 'sequence'>, transfer: ArrayBuffer[] = []) => {
    lastSequence++;
    endpoint.postMessage({ phiblocks: 1, sequence: lastSequence, ...message }, { transfer });
  };

  const modelOf = (id: number): LoadedModel => models.get(id) ?? unheld('model', id);
  const sessionOf = (id: number): Session => sessions.get(id) ?? unheld('session', id);

  function keepSession(call: Call, model: number, session: Session): OpenedSession {
    sessions.set(call.id, session);
    modelOf(model).sessions.add(call.id);
    return { session: call.id, contextLength: session.contextLength, ropePolicy: session.ropePolicy };
  }

  function endGeneration(id: number): void {
    generations.delete(id);
    controllers.delete(id);
  }

  const methods: { readonly [Method in MethodName]: Served<Method> } = {
    async hello(_call, lockName) {
      if (lockName === undefined) return;
      // Held until the worker is no more, whatever ends it: how the page learns of it, who is told nothing otherwise.
      await new Promise<void>((held) => {
        void navigator.locks.request(lockName, () => {
          held();
          return new Promise(() => {});
        });
      });
    },
    ignored: () => filter.ignored,
    async load(call, place, options) {
      const checkpoint = await openPlace(place, call.signal);
      let weightsInBytes = 0;
      try {
        const model = await createLanguageModel(checkpoint, {
          ...options,
          backend: options.backend ?? 'auto',
          signal: call.signal,
          onProgress(progress) {
            weightsInBytes = progress.totalBytes;
            call.tell(progress);
          },
        });
        models.set(call.id, { model, weightsInBytes, sessions: new Set() });
        const { name, config, generationConfig, chatTemplate, stopTokenIds, warnings, tokenizer } = model;
        const { format } = checkpoint;
        const hasTokenizer = tokenizer !== undefined;
        return {
          model: call.id,
          description: { name, format, config, generationConfig, chatTemplate, stopTokenIds, warnings, hasTokenizer },
        };
      } catch (error) {
        await checkpoint.close();
        throw error;
      }
    },
    backendReport: (_call, id) => modelOf(id).model.backendReport(),
    memory(_call, id) {
      const { model, weightsInBytes, sessions: ids } = modelOf(id);
      const cachesInBytes = [...ids].reduce((sum, session) => sum + sessionOf(session).cacheSizeInBytes, 0);
      return { weightsInBytes, cachesInBytes, backendInBytes: backendMemoryInBytes(model.network.backend) };
    },
    encodePrompt: (_call, id, text, counts) => modelOf(id).model.encodePrompt(text, counts),
    encodeChat: (_call, id, messages, counts) => modelOf(id).model.encodeChat(messages, counts),
    decode: (_call, id, ids, options) => tokenizerOf(modelOf(id).model).decode(ids, options),
    tokens(_call, id, ids) {
      const tokenizer = tokenizerOf(modelOf(id).model);
      return ids.map((token) => tokenizer.idToToken(token));
    },
    numImageTokens: (_call, id, size) => modelOf(id).model.numImageTokens(size),
    fingerprint: (_call, id) => modelOf(id).model.fingerprint(),
    readAttention: (call, id, ids, options) =>
      readAttention(modelOf(id).model, ids, { ...options, signal: call.signal }),
    createSession: (call, id, options) => keepSession(call, id, modelOf(id).model.createSession(options)),
    async restoreSession(call, id, bytes, options) {
      return keepSession(call, id, await modelOf(id).model.restoreSession(bytes, options));
    },
    async disposeModel(_call, id) {
      const held = models.get(id);
      if (!held) return;
      models.delete(id);
      for (const session of held.sessions) {
        sessions.get(session)?.dispose();
        sessions.delete(session);
      }
      await held.model.dispose();
    },
    generate(call, owner, options) {
      const all = { ...options, signal: call.signal, onPrefill: call.tell };
      const generation =
        'session' in owner
          ? sessionOf(owner.session).generate(all)
          : modelOf(owner.model).model.generate(all, owner.sessionOptions);
      generations.set(call.id, generation);
    },
    async next(_call, id) {
      const generation = generations.get(id);
      if (!generation) return { done: true, value: undefined };
      try {
        const result = await generation.next();
        if (result.done) endGeneration(id);
        return result;
      } catch (error) {
        endGeneration(id);
        throw error;
      }
    },
    async return(_call, id) {
      const generation = generations.get(id);
      // Work that is under way ends first, and soon.
      controllers.get(id)?.abort();
      await generation?.return();
      endGeneration(id);
    },
    advance: (call, id, ids, options) =>
      sessionOf(id).advance(ids, { ...options, signal: call.signal, onProgress: call.tell }),
    sessionState(_call, id) {
      const { ids, cacheSizeInBytes } = sessionOf(id);
      return { ids: [...ids], cacheSizeInBytes };
    },
    truncate(_call, id, length) {
      sessionOf(id).truncate(length);
    },
    save: (_call, id, options) => sessionOf(id).save(options),
    disposeSession(_call, id) {
      sessions.get(id)?.dispose();
      sessions.delete(id);
      for (const { sessions: ids } of models.values()) ids.delete(id);
    },
  };

  async function serve(id: number, method: MethodName, args: readonly unknown[]): Promise<void> {
    const controller = new AbortController();
    controllers.set(id, controller);
    const call: Call = { id, signal: controller.signal, tell: (value) => send({ type: 'event', call: id, value }) };
    try {
      const run = methods[method] as (call: Call, ...args: readonly unknown[]) => unknown;
      const value = await run(call, ...args);
      send({ type: 'result', call: id, value }, transferOf(method, value));
    } catch (error) {
      send({ type: 'error', call: id, error: packError(error) });
    } finally {
      if (!generations.has(id)) controllers.delete(id);
    }
  }

  endpoint.addEventListener('message', ({ data }) => {
    const envelope = readEnvelope(data);
    if (!envelope) return void filter.ignoreUnknown();
    const isKnown = envelope.type === 'call' || envelope.type === 'abort';
    if (!isKnown) return void filter.ignoreUnknown();
    if (!filter.accept(envelope.sequence)) return;
    if (envelope.type === 'abort') {
      controllers.get(data.call)?.abort();
    } else if (Object.hasOwn(methods, data.method) && Array.isArray(data.args)) {
      void serve(envelope.sequence, data.method, data.args);
    } else {
      filter.ignoreUnknown();
      const error = protocolError('one of the methods of this version', String(data.method));
      send({ type: 'error', call: envelope.sequence, error: packError(error) });
    }
  });
  endpoint.start?.();
}

type DistributiveOmit<T, Key extends PropertyKey> = T extends unknown ? Omit<T, Key> : never;

/** Arrays that were made for the page alone go there without a copy. */
function transferOf(method: MethodName, value: unknown): ArrayBuffer[] {
  if (method !== 'save' && method !== 'readAttention') return [];
  const data = typeof value === 'object' && value !== null && 'data' in value ? value.data : value;
  return ArrayBuffer.isView(data) && data.buffer instanceof ArrayBuffer ? [data.buffer] : [];
}

function openPlace(place: CheckpointPlace, signal: AbortSignal): Promise<Checkpoint> {
  if ('url' in place) return openCheckpointAtUrl(place.url, { signal });
  if ('files' in place) return openCheckpointOfFiles(place.files);
  return openCheckpointInOpfs(place.opfs);
}

function tokenizerOf({ name, tokenizer }: LanguageModel): Tokenizer {
  if (tokenizer) return tokenizer;
  throw new Phi3Error({
    code: 'TOKENIZER_MISSING',
    function: 'decode',
    expected: 'a checkpoint with a tokenizer',
    where: { file: name },
  });
}

function workerScope(): MessageEndpoint {
  if (typeof document === 'undefined' && typeof postMessage === 'function') return globalThis;
  throw new Phi3Error({
    code: 'UNSUPPORTED',
    function: 'runPhi3Worker',
    expected: 'to be called in a worker, or with a message port',
  });
}

function unheld(kind: string, id: number): never {
  throw protocolError(`a ${kind} that is open`, `${kind} ${id}`);
}

function protocolError(expected: string, got: string): Phi3Error {
  return new Phi3Error({ code: 'WORKER_PROTOCOL', function: 'runPhi3Worker', expected, got });
}
