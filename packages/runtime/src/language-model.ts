import { expectKnownOptions, Phi3Error } from '@phiblocks/tensor';
import {
  type ChatMessage,
  type ChatTemplateName,
  encodeChat,
  stopTokenIds,
  type Tokenizer,
} from '@phiblocks/tokenizer';
import type { GenerationConfig, ModelConfig } from '@phiblocks/weights';
import type { Checkpoint } from './checkpoint.ts';
import { type BackendChoice, type ChosenBackendReport, chooseBackend } from './choose-backend.ts';
import { fingerprintOf } from './fingerprint.ts';
import type { GenerateOptions, Generation } from './generate.ts';
import type { CausalLanguageModel } from './models/causal-language-model.ts';
import { createPhi3, type Phi3Options } from './models/create-phi3.ts';
import { createSession, restoreSession, type Session, type SessionOptions } from './session.ts';

/** Default backend: `reference` for `createLanguageModel`, `auto` for `loadModel`. */
export interface LanguageModelOptions extends Phi3Options, BackendChoice {
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
  /** What really computes: backend, threads, vector instructions, and why something is off. */
  backendReport(): ChosenBackendReport;
  /**
   * The ids of a conversation, with the opening of the answer.
   *
   * @throws Phi3Error `CHAT_TEMPLATE_MISSING`, `TOKENIZER_MISSING`; those of `encodeChat`
   */
  encodeChat(messages: readonly ChatMessage[]): Int32Array;
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
 * @throws Phi3Error `MODEL_TYPE_UNSUPPORTED` for a member that is not built yet, listing those that are;
 * `MODEL_TENSOR_MISSING`, `MODEL_TENSOR_SHAPE`; `OPTION_UNKNOWN`; the signal's reason when it aborts
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
    'onProgress',
    'signal',
  ]);
  const { backend, threads, backendOptions, chatTemplate: givenTemplate, ...phi3Options } = options;
  const { config, tokenizer, generationConfig } = checkpoint;
  if (config.modelType !== 'phi3') {
    throw new Phi3Error({
      code: 'MODEL_TYPE_UNSUPPORTED',
      function: 'createLanguageModel',
      expected: 'model_type phi3',
      got: config.modelType,
      where: { file: checkpoint.name },
    });
  }
  const chatTemplate = givenTemplate ?? checkpoint.chatTemplate;
  const chosen = await chooseBackend({ backend, threads, backendOptions });
  let network: CausalLanguageModel;
  try {
    network = await createPhi3({ ...checkpoint, config }, chosen.backend, phi3Options);
  } catch (error) {
    await chosen.dispose();
    throw error;
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
