import { createSampler, type SamplerOptions, samplerOptionNames, type TokenLogprob } from '@phiblocks/sampler';
import { ArgumentError, expectKnownOptions, isPhi3Error, Phi3Error } from '@phiblocks/tensor';
import type { ChatMessage, Tokenizer } from '@phiblocks/tokenizer';
import { locateImages, type RgbImage } from '@phiblocks/vision';
import type { ImageInput } from './images/read-image.ts';
import { imagesUnsupported } from './images/sequence-images.ts';
import type { LanguageModel } from './language-model.ts';
import { type DraftUsage, findDraft, type PromptLookupOptions, resolvePromptLookup } from './prompt-lookup.ts';
import {
  expectNotAborted,
  expectTokenIds,
  expectWholeNumber,
  type PrefillProgress,
  type Sequence,
} from './sequence.ts';
import { createStopStringFilter } from './stop-strings.ts';

/** What to generate from (exactly one of `messages`, `prompt` and `promptIds`), when to stop, and how to choose tokens. */
export interface GenerateOptions extends Omit<SamplerOptions, 'eosTokenIds'> {
  /** Text to continue. Special tokens written in it are recognised; the tokenizer adds what it adds (BOS or nothing). */
  readonly prompt?: string | undefined;
  /** Token ids to continue, taken as they are. */
  readonly promptIds?: ArrayLike<number> | undefined;
  /** A conversation to answer, in the chat format of the checkpoint. Special tokens written in it stay plain text. */
  readonly messages?: readonly ChatMessage[] | undefined;
  /**
   * Pictures for a model that sees them: RGB or RGBA bytes, `ImageData`, files. `prompt` and `messages` name them as
   * `<|image_1|>`, `<|image_2|>`, … in order; `promptIds` holds, for image N, as many ids -N as it has tokens.
   */
  readonly images?: readonly ImageInput[] | undefined;
  /** How many tokens at most; 0 reads the prompt only. Default: that of generation_config, else 256. */
  readonly maxNewTokens?: number | undefined;
  /** Strings that end the text; they do not appear in it. */
  readonly stop?: readonly string[] | undefined;
  /** Ids that end the text. Default: those of generation_config, else of the configuration. */
  readonly stopTokenIds?: readonly number[] | undefined;
  /** Goes on past the stop ids. */
  readonly ignoreEos?: boolean | undefined;
  /**
   * Guesses tokens from the text so far and checks several in one pass. Saves passes on texts that repeat themselves; the
   * tokens are those of plain greedy generation. An error with sampling.
   */
  readonly promptLookup?: PromptLookupOptions | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told after each chunk of the prompt. */
  readonly onPrefill?: ((progress: PrefillProgress) => void) | undefined;
}

/**
 * Why generation ended: a stop id or stop string; `maxNewTokens`; the context is full; the signal.
 */
export type FinishReason = 'stop' | 'length' | 'context' | 'aborted';

/** A token, as soon as it is chosen. */
export interface GeneratedToken {
  readonly type: 'token';
  readonly id: number;
  /** The text that became final with this token; may be empty while a character or a stop string is incomplete. */
  readonly text: string;
  /** Natural logarithm of its probability before any sampling step; with the option `logprobs`. */
  readonly logprob?: number | undefined;
  readonly topLogprobs?: readonly TokenLogprob[] | undefined;
}

/** The last item of a generation. */
export interface GenerationEnd {
  readonly type: 'end';
  /** Text that was still held back; all `text` of the tokens and this make `text`. */
  readonly tail: string;
  readonly text: string;
  /** Negative ids are rows of images. */
  readonly promptIds: readonly number[];
  /** Every chosen id, a stop id included. */
  readonly ids: readonly number[];
  readonly finishReason: FinishReason;
  readonly usage: Usage;
  readonly timings: Timings;
  /** The seed of the sampler, also where none was given. */
  readonly seed: number;
  /** What was done otherwise than asked, in sentences. */
  readonly warnings: readonly string[];
}

export interface Usage {
  readonly promptTokens: number;
  /** Prompt tokens that the session held already and did not run again. */
  readonly cachedPromptTokens: number;
  readonly completionTokens: number;
  readonly totalTokens: number;
  /** With `promptLookup`. */
  readonly promptLookup?: DraftUsage | undefined;
}

/** Wall-clock times; the time that the consumer takes between two items is not counted. */
export interface Timings {
  readonly promptMs: number;
  readonly decodeMs: number;
  /** Tokens of the prompt that were run, per second of `promptMs`. */
  readonly promptTokensPerSecond: number;
  /** Tokens after the first, per second of `decodeMs`. */
  readonly decodeTokensPerSecond: number;
}

/** The items of a generation: tokens, then one end. Leaving the loop early stops the work. */
export type Generation = AsyncGenerator<GeneratedToken | GenerationEnd, void, undefined>;

const optionNames: readonly (keyof GenerateOptions)[] = [
  'prompt',
  'promptIds',
  'messages',
  'images',
  'maxNewTokens',
  'stop',
  'stopTokenIds',
  'ignoreEos',
  'promptLookup',
  'signal',
  'onPrefill',
];

/**
 * Generates behind a prompt on a sequence: keeps what the sequence has in common with the prompt, runs the rest, then
 * chooses and runs token by token. It works only as fast as its consumer asks.
 *
 * @throws Phi3Error on the first `next()`: `OPTION_UNKNOWN`, `CTX_OVERFLOW` for a prompt beyond the context,
 * `TOKEN_ID_RANGE`, `PROMPT_EMPTY`, `IMAGES_UNSUPPORTED`, the `IM_…` codes for images and their placeholders, `TOKENIZER_MISSING`, `CHAT_TEMPLATE_MISSING`, the sampler's codes, `NUM_NAN`
 * @throws ArgumentError `ARGUMENT` for values out of range
 */
export async function* generateOnSequence(
  model: LanguageModel,
  sequence: Sequence,
  options: GenerateOptions,
): Generation {
  const plan = await planGeneration(model, sequence, options);
  const { promptIds, images, sampler, stopFilter, maxNewTokens, stopIds, warnings, promptLookup } = plan;
  const ids: number[] = [];
  let text = '';
  let finishReason: FinishReason = plan.reachesContext ? 'context' : 'length';
  let cachedPromptTokens = 0;
  let promptMs = 0;
  let decodeMs = 0;
  // Tokens guessed behind the last one chosen. Row i of `logits` follows draft[i - 1], row 0 the chosen token.
  let draft: readonly number[] = [];
  let row = 0;
  let draftTokens = 0;
  let acceptedDraftTokens = 0;
  /** Takes wrong guesses out of the sequence again; the last chosen token has then not been run, as without guesses. */
  const forgetDraft = (): void => {
    const held = promptIds.length + Math.max(0, ids.length - 1);
    if (sequence.ids.length > held) sequence.truncate(held);
  };

  // What stands for images is no text, for the decoder and for penalties on what was said before.
  const textIds = images.length > 0 ? promptIds.filter((id) => id >= 0) : promptIds;
  const { tokenizer } = model;
  const decoder = tokenizer?.createStreamDecoder({ skipSpecialTokens: true });
  // The text continues that of the prompt: a space between the two is kept. Behind a special token it starts afresh.
  if (tokenizer && decoder && !startsAfresh(tokenizer, promptIds)) for (const id of textIds) decoder.push(id);

  try {
    expectNotAborted('generate', options.signal);
    let started = performance.now();
    cachedPromptTokens = sequence.keepCommonPrefix(promptIds, images);
    let logits = await sequence.advance(promptIds.slice(cachedPromptTokens), {
      images: images.length > 0 ? images : undefined,
      signal: options.signal,
      onProgress: options.onPrefill,
    });
    promptMs = performance.now() - started;

    while (ids.length < maxNewTokens) {
      started = performance.now();
      const vocabSize = logits.shape[1]!;
      const scores = logits.data.subarray(row * vocabSize, (row + 1) * vocabSize);
      const chosen = sampler.sample(scores, { promptIds: textIds, generatedIds: ids });
      ids.push(chosen.id);
      const isStop = stopIds.has(chosen.id);
      const shown = isStop || !decoder ? { text: '', stopped: false } : stopFilter.push(decoder.push(chosen.id));
      text += shown.text;
      decodeMs += performance.now() - started;
      yield {
        type: 'token',
        id: chosen.id,
        text: shown.text,
        logprob: chosen.logprob,
        topLogprobs: chosen.topLogprobs,
      };
      if (isStop || shown.stopped) {
        finishReason = 'stop';
        break;
      }
      if (ids.length === maxNewTokens) break; // the last token need not be run
      if (draft[row] === chosen.id) {
        acceptedDraftTokens++;
        row++; // its logits are there already
        continue;
      }
      started = performance.now();
      forgetDraft();
      row = 0;
      draft = [];
      if (promptLookup) {
        // At most as many as can still be used: the last token need not be run, and the one before it chooses it.
        const most = Math.min(promptLookup.maxDraft, maxNewTokens - ids.length - 1);
        const room = sequence.stepsWithOneFactorList(1 + most) - 1;
        if (room > 0) draft = findDraft([...promptIds, ...ids], { ...promptLookup, maxDraft: room });
        draftTokens += draft.length;
      }
      const run = [chosen.id, ...draft];
      logits = await sequence.advance(run, { signal: options.signal, logits: draft.length > 0 ? 'all' : 'last' });
      decodeMs += performance.now() - started;
    }
  } catch (error) {
    if (!isPhi3Error(error, 'ABORTED')) throw error;
    finishReason = 'aborted';
  } finally {
    if (draftTokens > 0) forgetDraft();
  }

  const stopped = finishReason === 'stop' && !stopIds.has(ids.at(-1)!);
  const last = stopped || !decoder ? { text: '', stopped: false } : stopFilter.push(decoder.flush());
  const tail = last.text + (last.stopped ? '' : stopFilter.flush());
  const ranTokens = promptIds.length - cachedPromptTokens;
  yield {
    type: 'end',
    tail,
    text: text + tail,
    promptIds,
    ids,
    finishReason,
    usage: {
      promptTokens: promptIds.length,
      cachedPromptTokens,
      completionTokens: ids.length,
      totalTokens: promptIds.length + ids.length,
      ...(promptLookup && { promptLookup: { draftTokens, acceptedDraftTokens } }),
    },
    timings: {
      promptMs,
      decodeMs,
      promptTokensPerSecond: perSecond(ranTokens, promptMs),
      decodeTokensPerSecond: perSecond(ids.length - 1, decodeMs),
    },
    seed: sampler.seed,
    warnings,
  };
}

/** Everything that can be wrong about the options is found here, before any work. */
async function planGeneration(model: LanguageModel, sequence: Sequence, options: GenerateOptions) {
  const samplingNames = samplerOptionNames.filter((name) => name !== 'eosTokenIds');
  expectKnownOptions('generate', options, [...optionNames, ...samplingNames]);
  const warnings: string[] = [];
  const images: RgbImage[] = [];
  if (options.images?.length && !model.network.images) throw imagesUnsupported('generate');
  for (const image of options.images ?? []) images.push(await model.readImage(image));
  // Sizes tell the number of tokens, so a prompt that is too long is found before any image is encoded.
  const imageTokenCounts = images.map((image) => model.numImageTokens(image));
  const promptIds = promptOf(model, options, imageTokenCounts, warnings);
  expectTokenIds('generate', promptIds, model.config.vocabSize, model.network.images !== undefined);
  locateImages(promptIds, imageTokenCounts);
  const room = sequence.contextLength - promptIds.length;
  if (room < 0) {
    throw new Phi3Error({
      code: 'CTX_OVERFLOW',
      function: 'generate',
      argument: 'prompt',
      expected: `at most ${sequence.contextLength} tokens, the context length`,
      got: promptIds.length,
      hint: 'Shorten the prompt, or open the session with a longer contextLength where the model allows it.',
    });
  }
  const asked = options.maxNewTokens ?? model.generationConfig?.maxNewTokens ?? 256;
  expectWholeNumber('generate', 'maxNewTokens', asked, 0, Number.MAX_SAFE_INTEGER);
  if (asked > room && options.maxNewTokens !== undefined) {
    warnings.push(`maxNewTokens ${asked} was lowered to ${room}: the context holds ${sequence.contextLength} tokens`);
  }
  const eosTokenIds = options.stopTokenIds ?? model.stopTokenIds;
  expectTokenIds('generate', eosTokenIds, model.config.vocabSize);
  const stopFilter = createStopStringFilter(options.stop ?? []);
  if (options.stop?.length && !model.tokenizer) throw tokenizerMissing('stop');
  const samplerOptions = Object.fromEntries(samplingNames.map((name) => [name, options[name]]));
  const sampler = createSampler({ ...samplerOptions, eosTokenIds });
  const promptLookup = options.promptLookup && resolvePromptLookup(options.promptLookup);
  if (promptLookup && (options.temperature ?? 0) > 0) {
    throw new ArgumentError({
      function: 'generate',
      argument: 'promptLookup',
      expected: 'greedy generation: no temperature, or 0',
      got: options.temperature,
    });
  }
  return {
    promptIds,
    images,
    warnings,
    promptLookup,
    sampler,
    stopFilter,
    stopIds: new Set(options.ignoreEos ? [] : eosTokenIds),
    maxNewTokens: Math.min(asked, room),
    reachesContext: asked > room,
  };
}

function promptOf(
  model: LanguageModel,
  options: GenerateOptions,
  imageTokenCounts: readonly number[],
  warnings: string[],
): number[] {
  const given = (['prompt', 'promptIds', 'messages'] as const).filter((name) => options[name] !== undefined);
  if (given.length !== 1) {
    throw new ArgumentError({
      function: 'generate',
      argument: 'options',
      expected: 'exactly one of prompt, promptIds and messages',
      got: given,
    });
  }
  if (options.promptIds) return withStart(model, Array.from(options.promptIds), warnings);
  if (!model.tokenizer) throw tokenizerMissing(given[0]!);
  if (options.messages) return Array.from(model.encodeChat(options.messages, imageTokenCounts));
  return withStart(model, Array.from(model.encodePrompt(options.prompt!, imageTokenCounts)), warnings);
}

/** An empty prompt starts from the model's begin-of-sequence token; without one it is an error. */
function withStart(model: LanguageModel, ids: number[], warnings: string[]): number[] {
  if (ids.length > 0) return ids;
  const start = model.generationConfig?.bosTokenId ?? model.config.bosTokenId;
  if (start === undefined) {
    throw new Phi3Error({
      code: 'PROMPT_EMPTY',
      function: 'generate',
      argument: 'prompt',
      expected: 'at least one token',
      got: 0,
      hint: 'The model names no begin-of-sequence token to start from.',
    });
  }
  warnings.push(`the empty prompt was replaced by the begin-of-sequence token ${start}`);
  return [start];
}

/** True also for no prompt at all, or behind an image: there is no text to continue. */
function startsAfresh(tokenizer: Tokenizer, promptIds: readonly number[]): boolean {
  const last = promptIds.at(-1);
  return last === undefined || last < 0 || tokenizer.addedTokens.some(({ id, special }) => special && id === last);
}

function tokenizerMissing(argument: string): Phi3Error {
  return new Phi3Error({
    code: 'TOKENIZER_MISSING',
    function: 'generate',
    argument,
    expected: 'a checkpoint with a tokenizer',
    hint: 'Put tokenizer.json beside the weights, or give promptIds.',
  });
}

function perSecond(count: number, elapsedMs: number): number {
  return count > 0 && elapsedMs > 0 ? (1000 * count) / elapsedMs : 0;
}

/**
 * Runs a generation to its end.
 *
 * @returns its last item: the whole text, the ids, why it ended
 */
export async function collect(generation: Generation): Promise<GenerationEnd> {
  for await (const item of generation) if (item.type === 'end') return item;
  throw new Phi3Error({
    code: 'GENERATION_EMPTY',
    function: 'collect',
    expected: 'a generation that was not read before',
  });
}
