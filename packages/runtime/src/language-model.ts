import { ArgumentError, type Backend, expectKnownOptions, Phi3Error } from '@phiblocks/tensor';
import {
  type ChatMessage,
  type ChatTemplateName,
  encodeChat,
  stopTokenIds,
  type Tokenizer,
} from '@phiblocks/tokenizer';
import type { GenerationConfig, ModelConfig } from '@phiblocks/weights';
import type { Checkpoint } from './checkpoint.ts';
import type { GenerateOptions, Generation } from './generate.ts';
import type { CausalLanguageModel } from './models/causal-language-model.ts';
import { createPhiMoe, type PhiMoeOptions } from './models/create-phi-moe.ts';
import { createPhi3, type Phi3Options } from './models/create-phi3.ts';
import { createPhi3Small, type Phi3SmallOptions } from './models/create-phi3-small.ts';
import type { LoadOptions } from './models/load-weights.ts';
import { createReferenceBackend } from './reference-backend.ts';
import { createSession, type Session, type SessionOptions } from './session.ts';

export interface LanguageModelOptions
  extends LoadOptions,
    Pick<PhiMoeOptions, 'expertsOnDemand' | 'expertCacheInBytes'> {
  /** Replaces the self-attention of every layer. It must be one for the class of the model: the layers differ. */
  readonly selfAttention?:
    | Phi3Options['selfAttention']
    | Phi3SmallOptions['selfAttention']
    | PhiMoeOptions['selfAttention'];
  /** Default: the reference backend. The caller disposes of a backend it brings; the default one goes with the model. */
  readonly backend?: Backend | undefined;
  /** The chat format, where the checkpoint does not name a published one. */
  readonly chatTemplate?: ChatTemplateName | undefined;
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
  /**
   * The ids of a conversation, with the opening of the answer.
   *
   * @throws Phi3Error `CHAT_TEMPLATE_MISSING`, `TOKENIZER_MISSING`; those of `encodeChat`
   */
  encodeChat(messages: readonly ChatMessage[]): Int32Array;
  /** Opens a session: a cache that lives between calls. */
  createSession(options?: SessionOptions): Session;
  /** Generates once, in a session of its own that ends with the generation. */
  generate(options: GenerateOptions, sessionOptions?: SessionOptions): Generation;
  /** Frees the weights and closes the checkpoint. */
  dispose(): Promise<void>;
}

/**
 * Loads a model from an opened checkpoint. The class is picked by `model_type`.
 *
 * @throws Phi3Error `MODEL_TYPE_UNSUPPORTED` for a member that is not built yet, listing those that are;
 * `MODEL_TENSOR_MISSING`, `MODEL_TENSOR_SHAPE`; `OPTION_UNKNOWN`; the signal's reason when it aborts
 */
export async function createLanguageModel(
  checkpoint: Checkpoint,
  options: LanguageModelOptions = {},
): Promise<LanguageModel> {
  expectKnownOptions('createLanguageModel', options, [
    'backend',
    'chatTemplate',
    'selfAttention',
    'expertsOnDemand',
    'expertCacheInBytes',
    'onProgress',
    'signal',
  ]);
  const { backend: givenBackend, chatTemplate: givenTemplate, ...networkOptions } = options;
  const { config, tokenizer, generationConfig } = checkpoint;
  const chatTemplate = givenTemplate ?? checkpoint.chatTemplate;
  const backend = givenBackend ?? createReferenceBackend();
  const network = await createNetwork(checkpoint, backend, networkOptions);

  const model: LanguageModel = {
    name: checkpoint.name,
    config,
    generationConfig,
    network,
    tokenizer,
    chatTemplate,
    stopTokenIds: stopTokenIdsOf(checkpoint, chatTemplate),
    warnings: checkpoint.warnings,
    encodeChat(messages) {
      if (!tokenizer) {
        throw new Phi3Error({
          code: 'TOKENIZER_MISSING',
          function: 'encodeChat',
          expected: 'a checkpoint with a tokenizer',
          where: { file: checkpoint.name },
        });
      }
      if (!chatTemplate) {
        throw new Phi3Error({
          code: 'CHAT_TEMPLATE_MISSING',
          function: 'encodeChat',
          expected: 'the name of a published chat template',
          where: { file: checkpoint.name },
          hint: 'The checkpoint names no published chat format; give one as chatTemplate, or use a plain prompt.',
        });
      }
      return encodeChat(tokenizer, chatTemplate, messages, { addGenerationPrompt: true });
    },
    createSession: (sessionOptions) => createSession(model, sessionOptions),
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
      if (!givenBackend) await backend.dispose();
      await checkpoint.close();
    },
  };
  return model;
}

/** One class per `model_type`. An unknown type has no configuration to get here with: `parsePhi3Config` lists the known ones. */
async function createNetwork(
  { name, config, weights }: Checkpoint,
  backend: Backend,
  {
    selfAttention,
    expertsOnDemand,
    expertCacheInBytes,
    ...options
  }: Omit<LanguageModelOptions, 'backend' | 'chatTemplate'>,
): Promise<CausalLanguageModel> {
  if (config.modelType !== 'phimoe' && (expertsOnDemand !== undefined || expertCacheInBytes !== undefined)) {
    throw new ArgumentError({
      function: 'createLanguageModel',
      argument: expertsOnDemand !== undefined ? 'expertsOnDemand' : 'expertCacheInBytes',
      expected: 'no such option for a model without experts',
      got: expertsOnDemand ?? expertCacheInBytes,
      where: { file: name },
    });
  }
  switch (config.modelType) {
    case 'phi3':
      return createPhi3({ config, weights }, backend, {
        ...options,
        selfAttention: selfAttention as Phi3Options['selfAttention'],
      });
    case 'phi3small':
      return createPhi3Small({ config, weights }, backend, {
        ...options,
        selfAttention: selfAttention as Phi3SmallOptions['selfAttention'],
      });
    case 'phimoe':
      return createPhiMoe({ config, weights }, backend, {
        ...options,
        expertsOnDemand,
        expertCacheInBytes,
        selfAttention: selfAttention as PhiMoeOptions['selfAttention'],
      });
    default:
      throw new Phi3Error({
        code: 'MODEL_TYPE_UNSUPPORTED',
        function: 'createLanguageModel',
        expected: 'one of phi3, phi3small, phimoe',
        got: config.modelType,
        where: { file: name },
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
