import type { FloatTensor } from '@phiblocks/tensor';
import type { ChatMessage, ChatTemplateName, DecodeOptions } from '@phiblocks/tokenizer';
import type { GenerationConfig, ModelConfig } from '@phiblocks/weights';
import type { NamedBlob } from '../browser/open-checkpoint-of-files.ts';
import type { ChosenBackendReport } from '../choose-backend.ts';
import type { GeneratedToken, GenerateOptions, GenerationEnd } from '../generate.ts';
import type { LanguageModelOptions } from '../language-model.ts';
import type { ReadAttentionOptions } from '../read-attention.ts';
import type { AdvanceOptions } from '../sequence.ts';
import type { SessionAdvanceOptions, SessionOptions } from '../session.ts';
import type { SaveOptions } from '../session-file.ts';
import type { ErrorMessage } from './error-transfer.ts';
import type { IgnoredMessages } from './sequence-filter.ts';

// What a page and its worker say to each other. Every message has a number of its own, counted from 1 by its sender; an
// answer names the number of the call that it answers.

/** Where a checkpoint is. */
export type CheckpointPlace =
  /** On a web server: a `.gguf` file (of a split model any part) or a folder; see `openCheckpointAtUrl`. */
  | { readonly url: string | URL }
  /** Dropped or chosen files; see `openCheckpointOfFiles`. */
  | { readonly files: readonly (File | NamedBlob)[] }
  /** A path in the origin private file system; see `openCheckpointInOpfs`. */
  | { readonly opfs: string };

/** Options of {@link LanguageModelOptions} that a message can carry. Default backend: `auto`. */
export type WorkerModelOptions = Pick<
  LanguageModelOptions,
  | 'threads'
  | 'chatTemplate'
  | 'numCrops'
  | 'expertsOnDemand'
  | 'expertCacheInBytes'
  | 'memoryBudgetInBytes'
  | 'onProgress'
  | 'signal'
> & {
  /** By name only: a backend is a value that cannot leave its thread. */
  readonly backend?: Extract<LanguageModelOptions['backend'], string> | undefined;
  /** For the backend on WebAssembly, but for `createWorker`. */
  readonly backendOptions?:
    | Omit<NonNullable<LanguageModelOptions['backendOptions']>, 'createWorker' | 'plan'>
    | undefined;
};

/** Options that stay in the page: what they are told comes as events. */
export type CallOptions = Pick<AdvanceOptions, 'signal' | 'onProgress'>;

/** What a model is, as the page knows it from loading. */
export interface ModelDescription {
  readonly name: string;
  readonly format: 'safetensors' | 'gguf';
  readonly config: ModelConfig;
  readonly generationConfig: GenerationConfig | undefined;
  readonly chatTemplate: ChatTemplateName | undefined;
  readonly stopTokenIds: readonly number[];
  readonly warnings: readonly string[];
  readonly hasTokenizer: boolean;
}

/** Bytes that a model in a worker holds. */
export interface WorkerMemory {
  /** The weights as the checkpoint stores them. */
  readonly weightsInBytes: number;
  /** The key/value caches of open sessions. */
  readonly cachesInBytes: number;
  /** What the backend says it holds, in its own layout and on its own device; undefined where it does not tell. */
  readonly backendInBytes: number | undefined;
}

export interface SessionState {
  readonly ids: readonly number[];
  readonly cacheSizeInBytes: number;
}

export interface OpenedSession {
  readonly session: number;
  readonly contextLength: number;
  readonly ropePolicy: NonNullable<SessionOptions['ropePolicy']>;
}

type Sent<Options> = Omit<Options, 'signal' | 'onProgress' | 'onPrefill' | 'onTensor' | 'onRouting'>;

/** What a worker can be asked: by name, the arguments and what comes back. Models, sessions and generations are numbers. */
export interface WorkerMethods {
  hello: (lockName: string | undefined) => undefined;
  ignored: () => IgnoredMessages;
  load: (place: CheckpointPlace, options: Sent<WorkerModelOptions>) => { model: number; description: ModelDescription };
  backendReport: (model: number) => ChosenBackendReport;
  memory: (model: number) => WorkerMemory;
  encodePrompt: (model: number, text: string, imageTokenCounts: readonly number[] | undefined) => Int32Array;
  encodeChat: (
    model: number,
    messages: readonly ChatMessage[],
    imageTokenCounts: readonly number[] | undefined,
  ) => Int32Array;
  decode: (model: number, ids: ArrayLike<number>, options: DecodeOptions | undefined) => string;
  tokens: (model: number, ids: readonly number[]) => (string | undefined)[];
  numImageTokens: (model: number, size: { readonly width: number; readonly height: number }) => number;
  fingerprint: (model: number) => string;
  readAttention: (model: number, ids: ArrayLike<number>, options: Sent<ReadAttentionOptions>) => FloatTensor;
  createSession: (model: number, options: SessionOptions | undefined) => OpenedSession;
  restoreSession: (model: number, bytes: Uint8Array, options: SessionOptions | undefined) => OpenedSession;
  disposeModel: (model: number) => undefined;
  /** Opens a generation; its number is that of the call. */
  generate: (
    owner:
      | { readonly model: number; readonly sessionOptions?: SessionOptions | undefined }
      | { readonly session: number },
    options: Sent<GenerateOptions>,
  ) => undefined;
  next: (generation: number) => IteratorResult<GeneratedToken | GenerationEnd, void>;
  return: (generation: number) => undefined;
  advance: (session: number, ids: ArrayLike<number>, options: Sent<SessionAdvanceOptions>) => FloatTensor;
  sessionState: (session: number) => SessionState;
  truncate: (session: number, length: number) => undefined;
  save: (session: number, options: SaveOptions | undefined) => Uint8Array;
  disposeSession: (session: number) => undefined;
}

export type MethodName = keyof WorkerMethods;

/** From the page. */
export type PageMessage = { readonly phiblocks: 1; readonly sequence: number } & (
  | { readonly type: 'call'; readonly method: MethodName; readonly args: readonly unknown[] }
  | { readonly type: 'abort'; readonly call: number }
);

/** From the worker. */
export type WorkerMessage = { readonly phiblocks: 1; readonly sequence: number; readonly call: number } & (
  | { readonly type: 'result'; readonly value: unknown }
  | { readonly type: 'error'; readonly error: ErrorMessage }
  /** What a callback of the call is told. */
  | { readonly type: 'event'; readonly value: unknown }
);

/** A message of this protocol, as far as every message has it; undefined for anything else. */
export function readEnvelope(data: unknown): { type: unknown; sequence: number } | undefined {
  if (typeof data !== 'object' || data === null || !('phiblocks' in data) || data.phiblocks !== 1) return undefined;
  if (!('sequence' in data) || !('type' in data)) return undefined;
  const { sequence, type } = data;
  return typeof sequence === 'number' && Number.isSafeInteger(sequence) && sequence > 0
    ? { type, sequence }
    : undefined;
}
