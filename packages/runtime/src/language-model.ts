import { ArgumentError, type Backend, expectKnownOptions, Phi3Error } from '@phiblocks/tensor';
import {
  type ChatMessage,
  type ChatTemplateName,
  encodeChat,
  renderChatParts,
  stopTokenIds,
  type Tokenizer,
} from '@phiblocks/tokenizer';
import type { RgbImage } from '@phiblocks/vision';
import type { GenerationConfig, ModelConfig } from '@phiblocks/weights';
import type { Checkpoint } from './checkpoint.ts';
import { type BackendChoice, type ChosenBackendReport, chooseBackend } from './choose-backend.ts';
import { expectWithinBudget } from './expect-within-budget.ts';
import { fingerprintOf } from './fingerprint.ts';
import type { GenerateOptions, Generation } from './generate.ts';
import { encodeImagePrompt } from './images/encode-image-prompt.ts';
import { type ImageDecoder, type ImageInput, readImage } from './images/read-image.ts';
import { imagesUnsupported } from './images/sequence-images.ts';
import type { CausalLanguageModel } from './models/causal-language-model.ts';
import { createPhiMoe, type PhiMoeOptions } from './models/create-phi-moe.ts';
import { createPhi3, type Phi3Options } from './models/create-phi3.ts';
import { createPhi3Small, type Phi3SmallOptions } from './models/create-phi3-small.ts';
import { createPhi3Vision, type Phi3VisionOptions } from './models/create-phi3-vision.ts';
import type { LoadOptions } from './models/load-weights.ts';
import { createSession, restoreSession, type Session, type SessionOptions } from './session.ts';

/** Default backend: `reference` for `createLanguageModel`, `auto` for `loadModel`. */
export interface LanguageModelOptions
  extends LoadOptions,
    BackendChoice,
    Pick<PhiMoeOptions, 'expertsOnDemand' | 'expertCacheInBytes'>,
    Pick<Phi3VisionOptions, 'numCrops'> {
  /** Replaces the self-attention of every layer. It must be one for the class of the model: the layers differ. */
  readonly selfAttention?:
    | Phi3Options['selfAttention']
    | Phi3SmallOptions['selfAttention']
    | PhiMoeOptions['selfAttention'];
  /** The chat format, where the checkpoint does not name a published one. */
  readonly chatTemplate?: ChatTemplateName | undefined;
  /** What makes RGB bytes of image files. Default: the browser; in `@phiblocks/runtime/node` its `decodeImage`. */
  readonly decodeImage?: ImageDecoder | undefined;
  /** Refuse a model whose stored weights are larger, before any is read: `MEMORY_BUDGET`. Default: none is refused. */
  readonly memoryBudgetInBytes?: number | undefined;
}

/** A network with its tokenizer: text in, text out. */
export interface LanguageModel {
  readonly name: string;
  readonly config: ModelConfig;
  readonly generationConfig: GenerationConfig | undefined;
  readonly network: CausalLanguageModel;
  readonly tokenizer: Tokenizer | undefined;
  readonly chatTemplate: ChatTemplateName | undefined;
  /** Ids that end an answer: those of generation_config, else those of the configuration and the chat format. */
  readonly stopTokenIds: readonly number[];
  readonly warnings: readonly string[];
  /** What really computes: backend, threads, vector instructions, and why something is off. */
  backendReport(): ChosenBackendReport;
  /**
   * The ids of a text to continue. Special tokens written in it are recognised; in a model that sees images, so are the
   * placeholders `<|image_1|>`, `<|image_2|>`, ….
   *
   * @param imageTokenCounts - tokens of each image
   * @throws Phi3Error `TOKENIZER_MISSING`, `IMAGES_UNSUPPORTED`; ImageError `IM_COUNT`, `IM_PLACEHOLDER`
   */
  encodePrompt(text: string, imageTokenCounts?: readonly number[]): Int32Array;
  /**
   * The ids of a conversation, with the opening of the answer. Placeholders of images stand in the messages.
   *
   * @param imageTokenCounts - tokens of each image
   * @throws Phi3Error `CHAT_TEMPLATE_MISSING`, `TOKENIZER_MISSING`, `IMAGES_UNSUPPORTED`; those of `encodeChat`; ImageError
   * `IM_COUNT`, `IM_PLACEHOLDER`
   */
  encodeChat(messages: readonly ChatMessage[], imageTokenCounts?: readonly number[]): Int32Array;
  /**
   * How many tokens an image of some size takes in the prompt.
   *
   * @throws Phi3Error `IMAGES_UNSUPPORTED` when the model sees no images; ImageError `IM_SIZE`, `IM_TOO_LARGE`,
   * `IM_ASPECT_RATIO`
   */
  numImageTokens(size: { readonly width: number; readonly height: number }): number;
  /** RGB bytes of an image, whatever form it comes in. */
  readImage(image: ImageInput): Promise<RgbImage>;
  /** Opens a session: a cache that lives between calls. */
  createSession(options?: SessionOptions): Session;
  /** Opens a session from the bytes of {@link Session.save}: it goes on where it was. */
  restoreSession(bytes: Uint8Array, options?: SessionOptions): Promise<Session>;
  /** Tells this model apart from others: saved sessions belong to it. Reads some of the weights once. */
  fingerprint(): Promise<string>;
  /** Generates once, in a session of its own that ends with the generation. */
  generate(options: GenerateOptions, sessionOptions?: SessionOptions): Generation;
  /** Frees the weights and closes the checkpoint. */
  dispose(): Promise<void>;
}

/**
 * Loads a model from an opened checkpoint. The class is picked by `model_type`.
 *
 * @throws Phi3Error `MODEL_TENSOR_MISSING`, `MODEL_TENSOR_SHAPE`; `MEMORY_BUDGET`; `OPTION_UNKNOWN`; the signal's reason when it aborts
 */
export async function createLanguageModel(
  checkpoint: Checkpoint,
  options: LanguageModelOptions = {},
): Promise<LanguageModel> {
  expectKnownOptions('createLanguageModel', options, [
    'backend',
    'threads',
    'backendOptions',
    'chatTemplate',
    'selfAttention',
    'expertsOnDemand',
    'expertCacheInBytes',
    'numCrops',
    'decodeImage',
    'memoryBudgetInBytes',
    'onProgress',
    'signal',
  ]);
  const {
    backend,
    threads,
    backendOptions,
    chatTemplate: givenTemplate,
    decodeImage,
    memoryBudgetInBytes,
    ...networkOptions
  } = options;
  const { config, tokenizer, generationConfig } = checkpoint;
  const chatTemplate = givenTemplate ?? checkpoint.chatTemplate;
  const { expertsOnDemand, expertCacheInBytes } = options;
  const planned = { checkpoint, expertsOnDemand, expertCacheInBytes };
  expectWithinBudget(planned, memoryBudgetInBytes);
  const chosen = await chooseBackend({ backend, threads, backendOptions }, planned);
  let network: CausalLanguageModel;
  try {
    network = await createNetwork(checkpoint, chosen.backend, networkOptions);
  } catch (error) {
    await chosen.dispose();
    throw error;
  }

  // The published processor treats every prompt of a vision member as one with images, also when there are none.
  const seesImages = config.modelType === 'phi3_v';

  function expectTokenizer(functionName: string, imageTokenCounts: readonly number[]): Tokenizer {
    if (imageTokenCounts.length > 0 && !network.images) throw imagesUnsupported(functionName);
    if (tokenizer) return tokenizer;
    throw new Phi3Error({
      code: 'TOKENIZER_MISSING',
      function: functionName,
      expected: 'a checkpoint with a tokenizer',
      where: { file: checkpoint.name },
    });
  }

  let fingerprint: Promise<string> | undefined;
  const model: LanguageModel = {
    name: checkpoint.name,
    config,
    generationConfig,
    network,
    tokenizer,
    chatTemplate,
    stopTokenIds: stopTokenIdsOf(checkpoint, chatTemplate),
    warnings: checkpoint.warnings,
    backendReport: () => chosen.report(),
    encodePrompt(text, imageTokenCounts = []) {
      const present = expectTokenizer('encodePrompt', imageTokenCounts);
      if (seesImages) return encodeImagePrompt(present, text, imageTokenCounts);
      return present.encode(text);
    },
    encodeChat(messages, imageTokenCounts = []) {
      const present = expectTokenizer('encodeChat', imageTokenCounts);
      if (!chatTemplate) {
        throw new Phi3Error({
          code: 'CHAT_TEMPLATE_MISSING',
          function: 'encodeChat',
          expected: 'the name of a published chat template',
          where: { file: checkpoint.name },
          hint: 'The checkpoint names no published chat format; give one as chatTemplate, or use a plain prompt.',
        });
      }
      if (!seesImages) return encodeChat(present, chatTemplate, messages, { addGenerationPrompt: true });
      const chat = renderChatParts(chatTemplate, messages, { addGenerationPrompt: true });
      return encodeImagePrompt(present, chat, imageTokenCounts);
    },
    numImageTokens(size) {
      if (!network.images) throw imagesUnsupported('numImageTokens');
      return network.images.numImageTokens(size);
    },
    readImage: (image) => readImage(image, decodeImage),
    createSession: (sessionOptions) => createSession(model, sessionOptions),
    restoreSession: (bytes, sessionOptions) => restoreSession(model, bytes, sessionOptions),
    fingerprint() {
      fingerprint ??= fingerprintOf(checkpoint);
      return fingerprint;
    },
    async *generate(generateOptions, sessionOptions) {
      const session = createSession(model, sessionOptions);
      try {
        yield* session.generate(generateOptions);
      } finally {
        session.dispose();
      }
    },
    async dispose() {
      network.dispose();
      await chosen.dispose();
      await checkpoint.close();
    },
  };
  return model;
}

/** One class per `model_type`. An unknown type has no configuration to get here with: `parsePhi3Config` lists the known ones. */
async function createNetwork(
  { name, config, weights, preprocessorConfig }: Checkpoint,
  backend: Backend,
  options: Omit<LanguageModelOptions, 'backend' | 'chatTemplate' | 'decodeImage'>,
): Promise<CausalLanguageModel> {
  // Types cannot know which class a checkpoint has; that the attention is one for it is the caller's word.
  const { expertsOnDemand, expertCacheInBytes, numCrops, onProgress, signal } = options;
  const loading = { onProgress, signal };
  const expectNoOptions = (given: Partial<LanguageModelOptions>, kind: string): void => {
    for (const [argument, got] of Object.entries(given)) {
      if (got === undefined) continue;
      const expected = `no such option for a model without ${kind}`;
      throw new ArgumentError({ function: 'createLanguageModel', argument, expected, got, where: { file: name } });
    }
  };
  if (config.modelType !== 'phimoe') expectNoOptions({ expertsOnDemand, expertCacheInBytes }, 'experts');
  if (config.modelType !== 'phi3_v') expectNoOptions({ numCrops }, 'images');
  switch (config.modelType) {
    case 'phi3':
      return createPhi3({ config, weights }, backend, {
        ...loading,
        selfAttention: options.selfAttention as Phi3Options['selfAttention'],
      });
    case 'phi3small':
      return createPhi3Small({ config, weights }, backend, {
        ...loading,
        selfAttention: options.selfAttention as Phi3SmallOptions['selfAttention'],
      });
    case 'phimoe':
      return createPhiMoe({ config, weights }, backend, {
        ...loading,
        selfAttention: options.selfAttention as PhiMoeOptions['selfAttention'],
        expertsOnDemand,
        expertCacheInBytes,
      });
    case 'phi3_v':
      return createPhi3Vision({ config, weights }, backend, {
        ...loading,
        selfAttention: options.selfAttention as Phi3VisionOptions['selfAttention'],
        numCrops: numCrops ?? preprocessorConfig?.numCrops,
      });
  }
}

/**
 * `generation_config.json` decides where it names ids. A configuration alone often names one id, which does not end an answer
 * in chat: then the ids published with the chat format count too.
 */
function stopTokenIdsOf(
  { generationConfig, config }: Checkpoint,
  chatTemplate: ChatTemplateName | undefined,
): readonly number[] {
  if (generationConfig && generationConfig.eosTokenIds.length > 0) return generationConfig.eosTokenIds;
  const published = chatTemplate ? stopTokenIds(chatTemplate) : [];
  return [...new Set([...config.eosTokenIds, ...published])].filter((id) => id < config.vocabSize);
}
