import { Phi3Error } from '@phiblocks/tensor';
import { type ErrorMessage, unpackError } from './error-transfer.ts';
import type { MessageEndpoint } from './message-endpoint.ts';
import { type MethodName, readEnvelope, type WorkerMethods } from './protocol.ts';
import { type IgnoredMessages, SequenceFilter } from './sequence-filter.ts';

/** What a call takes along besides its arguments. */
export interface CallExtras {
  readonly signal?: AbortSignal | undefined;
  /** Told what the worker tells while it works. */
  readonly onEvent?: ((value: unknown) => void) | undefined;
  /** The call is only the opening of something longer: events and abort stay connected until {@link Connection.release}. */
  readonly staysOpen?: boolean | undefined;
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** The page's end: calls that are answered, once each, or rejected when the worker is lost. */
export class Connection {
  /** Resolves with the error that everything gets from then on. */
  readonly whenLost: Promise<Phi3Error>;
  readonly #endpoint: MessageEndpoint;
  readonly #filter = new SequenceFilter();
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Map<number, (value: unknown) => void>();
  readonly #releases = new Map<number, () => void>();
  #lastSequence = 0;
  #lost: Phi3Error | undefined;
  #reportLoss: (error: Phi3Error) => void = () => {};

  constructor(endpoint: MessageEndpoint) {
    this.#endpoint = endpoint;
    this.whenLost = new Promise((resolve) => {
      this.#reportLoss = resolve;
    });
    endpoint.addEventListener('message', ({ data }) => this.#receive(data));
    endpoint.addEventListener('error', (event) => {
      // A worker that throws outside a call goes on, but nobody knows in what state.
      const { message } = event as { message?: unknown };
      this.end(typeof message === 'string' && message !== '' ? message : 'its file could not be loaded or run');
    });
    endpoint.addEventListener('messageerror', () => this.end('it sent what cannot be read'));
    endpoint.addEventListener('close', () => this.end('it closed the connection'));
    endpoint.start?.();
  }

  get ignored(): IgnoredMessages {
    return this.#filter.ignored;
  }

  get lost(): Phi3Error | undefined {
    return this.#lost;
  }

  /** Sends a call. `id` is its number, for generations and their like. */
  call<Method extends MethodName>(
    method: Method,
    args: Parameters<WorkerMethods[Method]>,
    { signal, onEvent, staysOpen }: CallExtras = {},
  ): { readonly id: number; readonly answer: Promise<ReturnType<WorkerMethods[Method]>> } {
    if (this.#lost) return { id: 0, answer: Promise.reject(this.#lost) };
    const id = ++this.#lastSequence;
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      try {
        this.#endpoint.postMessage({ phiblocks: 1, sequence: id, type: 'call', method, args });
      } catch (cause) {
        this.#pending.delete(id);
        // The number was used up without a message; the other side counts it as one that is still to come.
        reject(uncloneable(method, cause));
      }
    });
    const abort = (): void => this.#send({ type: 'abort', call: id });
    if (this.#pending.has(id)) {
      if (onEvent) this.#listeners.set(id, onEvent);
      if (signal?.aborted) abort();
      else signal?.addEventListener('abort', abort);
      this.#releases.set(id, () => {
        this.#listeners.delete(id);
        signal?.removeEventListener('abort', abort);
      });
    }
    const released = answer.finally(() => {
      if (!staysOpen) this.release(id);
    });
    return { id, answer: released as Promise<ReturnType<WorkerMethods[Method]>> };
  }

  /** Lets go of a call that stayed open. */
  release(id: number): void {
    this.#releases.get(id)?.();
    this.#releases.delete(id);
  }

  /** Ends the worker, and rejects everything that waits, and whatever is asked later, with `WORKER_LOST`. */
  end(reason: string): void {
    if (this.#lost) return;
    this.#lost = new Phi3Error({
      code: 'WORKER_LOST',
      function: 'createPhi3Worker',
      expected: 'a worker that answers',
      got: reason,
      hint: 'Create another worker and load the model again',
    });
    for (const { reject } of this.#pending.values()) reject(this.#lost);
    this.#pending.clear();
    for (const id of [...this.#releases.keys()]) this.release(id);
    this.#endpoint.terminate?.();
    this.#endpoint.close?.();
    this.#reportLoss(this.#lost);
  }

  #send(message: { type: 'abort'; call: number }): void {
    if (this.#lost) return;
    this.#endpoint.postMessage({ phiblocks: 1, sequence: ++this.#lastSequence, ...message });
  }

  #receive(data: unknown): void {
    const envelope = readEnvelope(data);
    if (!envelope || !['result', 'error', 'event'].includes(String(envelope.type))) {
      this.#filter.ignoreUnknown();
      return;
    }
    if (!this.#filter.accept(envelope.sequence)) return;
    const message = data as { call: number; value?: unknown; error?: ErrorMessage };
    const listener = this.#listeners.get(message.call);
    const pending = this.#pending.get(message.call);
    if (envelope.type === 'event') {
      // A callback that nobody gave is told nothing.
      if (listener) listener(message.value);
      else if (!pending && !this.#releases.has(message.call)) this.#filter.ignoreUnknown();
      return;
    }
    if (!pending) {
      this.#filter.ignoreUnknown();
      return;
    }
    this.#pending.delete(message.call);
    if (envelope.type === 'result') pending.resolve(message.value);
    else pending.reject(unpackError(message.error!));
  }
}

function uncloneable(method: string, cause: unknown): Phi3Error {
  return new Phi3Error({
    code: 'UNSUPPORTED',
    function: method,
    expected: 'arguments that a message can carry',
    hint: 'Functions and backends cannot cross to a worker',
    cause,
  });
}
