import { crossesBoundary, type RopePolicy, selectFactorList } from '@phiblocks/longrope';
import { ArgumentError, type CacheHandle, expectKnownOptions, type FloatTensor, Phi3Error } from '@phiblocks/tensor';
import type { RgbImage } from '@phiblocks/vision';
import { createChunkSize } from './chunk-size.ts';
import { createSequenceImages } from './images/sequence-images.ts';
import type { CausalLanguageModel } from './models/causal-language-model.ts';
import type { ForwardOptions } from './models/forward-options.ts';
import { createYielder } from './yield-to-event-loop.ts';

export interface SequenceOptions {
  /** What happens where LongRoPE changes its factor list; see `@phiblocks/longrope`. Default `reference`. */
  readonly ropePolicy?: RopePolicy | undefined;
  /** The longest sequence to hold, in tokens. Default and upper limit: the model's `maxPositionEmbeddings`. */
  readonly contextLength?: number | undefined;
  /**
   * Tokens per forward pass while a prompt is read, at most. More is faster, fewer let an abort in sooner. Default 64; where half a
   * layer of so many takes longer than 100 ms, fewer are taken.
   */
  readonly prefillChunkSize?: number | undefined;
}

export interface AdvanceOptions {
  /** Rows of logits to return: of the last token (default), or of every token given. */
  readonly logits?: 'last' | 'all' | undefined;
  /**
   * The length that the sequence is known to reach, where it is longer than what is given now. It picks the LongRoPE list,
   * so that a prompt fed in pieces gets the numbers of the whole prompt. Default: the length reached by this call.
   */
  readonly sequenceLength?: number | undefined;
  /**
   * The images of the whole sequence, in order, where `ids` hold any: image N stands for a run of ids -N as long as the
   * image has tokens. May be left out when it is the same list as before.
   */
  readonly images?: readonly RgbImage[] | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told after each chunk how many of the tokens to run have been run. */
  readonly onProgress?: ((progress: PrefillProgress) => void) | undefined;
  readonly onTensor?: ForwardOptions['onTensor'];
  readonly onRouting?: ForwardOptions['onRouting'];
}

export interface PrefillProgress {
  readonly done: number;
  readonly total: number;
}

/** A growing sequence of tokens with its key/value cache. */
export interface Sequence {
  readonly contextLength: number;
  readonly ropePolicy: RopePolicy;
  /** The tokens in the cache, from the start; negative ones are rows of images. */
  readonly ids: readonly number[];
  /** Bytes of the key/value cache now. */
  readonly cacheSizeInBytes: number;
  advance(ids: ArrayLike<number>, options?: AdvanceOptions): Promise<FloatTensor>;
  keepCommonPrefix(ids: ArrayLike<number>, images?: readonly RgbImage[]): number;
  /**
   * How many of the next `most` tokens may run in one pass with the numbers that they would have one by one: they fit into
   * the context, and LongRoPE keeps its factor list over them.
   */
  stepsWithOneFactorList(most: number): number;
  truncate(length: number): void;
  /** What there is to save: the cache, and the length whose list rotated its keys. */
  inside(): { readonly cache: CacheHandle; readonly rotatedForLength: number };
  /** Counts tokens as held whose keys and values were put into the empty cache. */
  adopt(held: readonly number[], rotatedFor: number): void;
  dispose(): void;
}

/**
 * Opens an empty sequence on a model. {@link Sequence.advance} runs tokens behind those already here and returns logits
 * `[1, V]` or `[T, V]`; {@link Sequence.keepCommonPrefix} makes the cache hold the longest common prefix with another
 * sequence of ids, short of its last token, so that running the rest gives logits.
 *
 * Images are encoded when their tokens are run, and kept for as long as the list of images has them; a token of an image is
 * common to two sequences only where the images are equal too.
 *
 * `advance` throws the `IM_…` codes of `@phiblocks/vision` for images that do not fit their tokens, `CTX_OVERFLOW`, `TOKEN_ID_RANGE`, `SESSION_DISPOSED` or `ABORTED`; after an error the sequence holds
 * whole chunks and can go on.
 *
 * @throws Phi3Error `OPTION_UNKNOWN` for an option that does not exist
 * @throws ArgumentError `ARGUMENT` for a context length beyond the model's, or a chunk size below 1
 */
export function createSequence(model: CausalLanguageModel, options: SequenceOptions = {}): Sequence {
  expectKnownOptions('createSession', options, ['ropePolicy', 'contextLength', 'prefillChunkSize']);
  const longest = model.config.maxPositionEmbeddings;
  const contextLength = options.contextLength ?? longest;
  expectWholeNumber('createSession', 'contextLength', contextLength, 1, longest);
  const prefillChunkSize = options.prefillChunkSize ?? 64;
  expectWholeNumber('createSession', 'prefillChunkSize', prefillChunkSize, 1, Number.MAX_SAFE_INTEGER);
  const chunkSize = createChunkSize(prefillChunkSize);
  const ropePolicy = options.ropePolicy ?? 'reference';
  const listAt = (length: number) => selectFactorList(model.rotary, ropePolicy, { length, capacity: contextLength });
  listAt(1); // an unknown policy is an error now, not at the first token

  let cache: CacheHandle | undefined = model.createCache();
  const ids: number[] = [];
  const images = createSequenceImages(model);
  // One for the whole life of the sequence: many short passes in a row keep the event loop waiting as much as a long one.
  const pause = createYielder();
  /** The length whose list rotated the keys that are in the cache. */
  let rotatedForLength = 0;

  function openCache(functionName: string): CacheHandle {
    if (!cache) {
      throw new Phi3Error({ code: 'SESSION_DISPOSED', function: functionName, expected: 'a session that is open' });
    }
    return cache;
  }

  function truncate(length: number): void {
    const open = openCache('truncate');
    expectWholeNumber('truncate', 'length', length, 0, ids.length);
    model.backend.truncateCache(open, length);
    ids.length = length;
    if (length === 0) rotatedForLength = 0;
  }

  function expectTokens(tokens: ArrayLike<number>): Int32Array {
    if (tokens.length === 0) {
      throw new ArgumentError({ function: 'advance', argument: 'ids', expected: 'at least one token', got: 0 });
    }
    const length = ids.length + tokens.length;
    if (length > contextLength) {
      throw new Phi3Error({
        code: 'CTX_OVERFLOW',
        function: 'advance',
        argument: 'ids',
        expected: `at most ${contextLength} tokens in all (${ids.length} are here already)`,
        got: length,
      });
    }
    expectTokenIds('advance', tokens, model.config.vocabSize, model.images !== undefined);
    return Int32Array.from(tokens);
  }

  async function advance(tokens: ArrayLike<number>, options: AdvanceOptions = {}): Promise<FloatTensor> {
    const open = openCache('advance');
    expectKnownOptions('advance', options, [
      'logits',
      'sequenceLength',
      'images',
      'signal',
      'onProgress',
      'onTensor',
      'onRouting',
    ]);
    const added = expectTokens(tokens);
    expectNotAborted('advance', options.signal);
    if (options.images) images.take(options.images, ids);
    if (model.images) images.expectPlaced(ids, added);
    const betweenLayers = async (): Promise<void> => {
      await pause();
      expectNotAborted('advance', options.signal);
    };
    await images.encode(added, betweenLayers);
    pause.takeLongestPart(); // that of the images says nothing about tokens
    const length = Math.max(ids.length + added.length, options.sequenceLength ?? 0);
    // The trap of LongRoPE: keys in the cache were rotated with the list of their time. Where the list changes, the whole
    // sequence runs again.
    let run = added;
    if (crossesBoundary(model.rotary, ropePolicy, rotatedForLength, length)) {
      run = Int32Array.from([...ids, ...added]);
      truncate(0);
    }
    rotatedForLength = length;

    const firstWanted = options.logits === 'all' ? run.length - added.length : run.length - 1;
    const rows: FloatTensor[] = [];
    for (let start = 0, end = 0; start < run.length; start = end) {
      const chunk = run.subarray(start, start + chunkSize.tokens);
      end = start + chunk.length;
      const wanted = end <= firstWanted ? 'none' : options.logits === 'all' ? 'all' : 'last';
      const logits = await model.forward(chunk, open, {
        logits: wanted,
        factorList: listAt(length),
        images: images.rowsOf(ids, chunk),
        rotateOnRead: ropePolicy === 'rerotate',
        betweenLayers,
        onTensor: options.onTensor,
        onRouting: options.onRouting,
      });
      chunkSize.adapt(pause.takeLongestPart(), chunk.length);
      for (const id of chunk) ids.push(id);
      if (wanted !== 'none') rows.push(lastRows(logits, end - Math.max(start, firstWanted)));
      options.onProgress?.({ done: end, total: run.length });
    }
    return joinRows(rows);
  }

  return {
    contextLength,
    ropePolicy,
    ids,
    get cacheSizeInBytes() {
      return openCache('cacheSizeInBytes').sizeInBytes;
    },
    advance,
    keepCommonPrefix(wanted, wantedImages = []) {
      const most = Math.min(ids.length, wanted.length - 1);
      const differs = wantedImages.findIndex((image, index) => !images.isSame(index + 1, image));
      const firstOtherImage = differs < 0 ? wantedImages.length + 1 : differs + 1;
      let common = 0;
      while (common < most && ids[common] === wanted[common] && -ids[common]! < firstOtherImage) common++;
      truncate(common);
      return common;
    },
    stepsWithOneFactorList(most) {
      const room = Math.min(most, contextLength - ids.length);
      let count = Math.min(1, room);
      while (count < room && listAt(ids.length + count + 1) === listAt(ids.length + 1)) count++;
      return count;
    },
    truncate,
    inside: () => ({ cache: openCache('save'), rotatedForLength }),
    adopt(held, rotatedFor) {
      for (const id of held) ids.push(id);
      rotatedForLength = rotatedFor;
    },
    dispose() {
      if (cache) model.backend.free(cache);
      cache = undefined;
      ids.length = 0;
    },
  };
}

/** @throws Phi3Error `ABORTED` with the signal's reason as its cause */
export function expectNotAborted(functionName: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new Phi3Error({ code: 'ABORTED', function: functionName, cause: signal.reason });
  }
}

/** @throws Phi3Error `TOKEN_ID_RANGE` naming the first id that is neither a row of the embedding nor, where allowed, of an image */
export function expectTokenIds(
  functionName: string,
  ids: ArrayLike<number>,
  vocabSize: number,
  allowsImages = false,
): void {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (!Number.isInteger(id) || (id < 0 && !allowsImages) || id >= vocabSize) {
      throw new Phi3Error({
        code: 'TOKEN_ID_RANGE',
        function: functionName,
        argument: `ids[${i}]`,
        expected: `a whole number from 0 to ${vocabSize - 1}`,
        got: id,
      });
    }
  }
}

/** @throws ArgumentError `ARGUMENT` */
export function expectWholeNumber(
  functionName: string,
  argument: string,
  value: number,
  least: number,
  most: number,
): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    const range = most === Number.MAX_SAFE_INTEGER ? `from ${least} up` : `from ${least} to ${most}`;
    throw new ArgumentError({ function: functionName, argument, expected: `a whole number ${range}`, got: value });
  }
}

function lastRows({ data, shape }: FloatTensor, count: number): FloatTensor {
  const width = shape[1]!;
  return { data: data.subarray(data.length - count * width), shape: [count, width] };
}

function joinRows(parts: readonly FloatTensor[]): FloatTensor {
  if (parts.length === 1) return parts[0]!;
  const width = parts[0]!.shape[1]!;
  const rows = parts.reduce((sum, part) => sum + part.shape[0]!, 0);
  const data = new Float32Array(rows * width);
  let next = 0;
  for (const part of parts) {
    data.set(part.data, next);
    next += part.data.length;
  }
  return { data, shape: [rows, width] };
}
