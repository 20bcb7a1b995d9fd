import { type FloatTensor, Phi3Error } from '@phiblocks/tensor';
import { type GenerateOptions, type Generation, generateOnSequence } from './generate.ts';
import type { ImageInput } from './images/read-image.ts';
import type { LanguageModel } from './language-model.ts';
import { type AdvanceOptions, createSequence, type Sequence, type SequenceOptions } from './sequence.ts';
import { restoreSequence, type SaveOptions, saveSequence } from './session-file.ts';

export type SessionOptions = SequenceOptions;

export interface SessionAdvanceOptions extends Omit<AdvanceOptions, 'images'> {
  /**
   * The images of the whole session, in order, where `ids` hold any: image N stands for a run of ids -N as long as the
   * image has tokens. May be left out when it is the same list as before.
   */
  readonly images?: readonly ImageInput[] | undefined;
}

/**
 * A conversation or a text with its key/value cache. It lives between turns: what a new prompt has in common with the
 * tokens already here is not computed again.
 */
export interface Session {
  readonly model: LanguageModel;
  readonly contextLength: number;
  readonly ropePolicy: NonNullable<SessionOptions['ropePolicy']>;
  /** The tokens in the cache, from the start of the sequence; negative ones are rows of images. */
  readonly ids: readonly number[];
  /** Bytes of the key/value cache now. */
  readonly cacheSizeInBytes: number;
  /**
   * Generates behind a prompt. The prompt is the whole of it, not what is new: for a second turn, give all messages
   * again, and the session finds out what it holds already.
   */
  generate(options: GenerateOptions): Generation;
  /** Runs tokens behind those already here and returns logits `[1, V]`, or `[T, V]` with `logits: 'all'`. */
  advance(ids: ArrayLike<number>, options?: SessionAdvanceOptions): Promise<FloatTensor>;
  /** Forgets the tokens from `length` on. */
  truncate(length: number): void;
  /**
   * The session as bytes, a safetensors file, for {@link LanguageModel.restoreSession}.
   *
   * @throws Phi3Error `UNSUPPORTED` where the backend cannot read its cache; `contents: 'ids'` works everywhere
   */
  save(options?: SaveOptions): Promise<Uint8Array>;
  /** Frees the cache. Calling it twice is harmless. */
  dispose(): void;
}

/**
 * Opens an empty session. A session serves one call at a time; a second one meanwhile gets `SESSION_BUSY`. Sessions on the
 * same model do not disturb each other.
 *
 * @throws Phi3Error `OPTION_UNKNOWN` for an option that does not exist
 * @throws ArgumentError `ARGUMENT` for a value out of range
 */
export function createSession(model: LanguageModel, options: SessionOptions = {}): Session {
  return sessionOnSequence(model, createSequence(model.network, options));
}

/**
 * Opens a session from the bytes of {@link Session.save}.
 *
 * @param options - as for a new session; a `ropePolicy` must be the saved one
 * @throws Phi3Error `SESSION_FILE`, `SESSION_MISMATCH`, and the codes of safetensors files
 */
export async function restoreSession(
  model: LanguageModel,
  bytes: Uint8Array,
  options?: SessionOptions,
): Promise<Session> {
  return sessionOnSequence(model, await restoreSequence(model, bytes, options));
}

function sessionOnSequence(model: LanguageModel, sequence: Sequence): Session {
  let busy = false;

  function acquire(functionName: string): void {
    if (busy) {
      throw new Phi3Error({
        code: 'SESSION_BUSY',
        function: functionName,
        expected: 'one call at a time',
        hint: 'Wait for the other call to end, or open a second session on the same model.',
        retryable: true,
      });
    }
    busy = true;
  }

  async function* generate(options: GenerateOptions): Generation {
    acquire('generate');
    try {
      yield* generateOnSequence(model, sequence, options);
    } finally {
      busy = false;
    }
  }

  return {
    model,
    contextLength: sequence.contextLength,
    ropePolicy: sequence.ropePolicy,
    ids: sequence.ids,
    get cacheSizeInBytes() {
      return sequence.cacheSizeInBytes;
    },
    generate,
    async advance(ids, options) {
      acquire('advance');
      try {
        const images = options?.images && (await Promise.all(options.images.map((image) => model.readImage(image))));
        return await sequence.advance(ids, { ...options, images });
      } finally {
        busy = false;
      }
    },
    truncate(length) {
      acquire('truncate');
      try {
        sequence.truncate(length);
      } finally {
        busy = false;
      }
    },
    async save(options) {
      acquire('save');
      try {
        return await saveSequence(model, sequence, options);
      } finally {
        busy = false;
      }
    },
    dispose() {
      sequence.dispose();
    },
  };
}
