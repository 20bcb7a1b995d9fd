import { isPhi3Error, Phi3Error } from '@phiblocks/tensor';
import {
  type AddedTokenRules,
  type ChatTemplateName,
  createGgufTokenizer,
  createPhi3SmallTokenizer,
  detectChatTemplate,
  parseTokenizerJson,
  type Tokenizer,
} from '@phiblocks/tokenizer';
import {
  type ByteSource,
  configFromGguf,
  expectVocabularyFits,
  type GenerationConfig,
  type GgufFile,
  ggufVocabulary,
  type ModelConfig,
  openGguf,
  openSafetensors,
  openShardedSafetensors,
  openSplitGguf,
  type PreprocessorConfig,
  parseGenerationConfig,
  parsePhi3Config,
  parsePreprocessorConfig,
  untrustedChatTemplate,
  type WeightSource,
  withCheckpointNames,
} from '@phiblocks/weights';
import { chatTemplateSource } from './chat-template-source.ts';

/** A checkpoint, opened: its description is read and validated, its weights are read when a model asks for them. */
export interface Checkpoint {
  readonly name: string;
  readonly format: 'safetensors' | 'gguf';
  readonly config: ModelConfig;
  /** `generation_config.json`; undefined where there is none, as in every GGUF file. */
  readonly generationConfig: GenerationConfig | undefined;
  /** `preprocessor_config.json` of a vision member; undefined where there is none. */
  readonly preprocessorConfig?: PreprocessorConfig | undefined;
  /** By the names of the published layout, also for GGUF. */
  readonly weights: WeightSource;
  readonly tokenizer: Tokenizer | undefined;
  readonly chatTemplate: ChatTemplateName | undefined;
  /** What was accepted but should be known, in sentences. */
  readonly warnings: readonly string[];
  close(): Promise<void>;
}

/** Files by name: a directory, dropped files, a store. */
export interface CheckpointFiles {
  /** For messages. */
  readonly name: string;
  /** The file of that name, or undefined where there is none. */
  open(fileName: string): Promise<ByteSource | undefined>;
  /** Opens the weights, where the place has a stricter way than by name (links, revisions). */
  openWeights?: (() => Promise<WeightSource>) | undefined;
}

/** Descriptions are read whole; a larger one is not a description. tokenizer.json of the family is below 2 MB. */
const longestDescription = 128 * 2 ** 20;

/**
 * Opens a checkpoint in the published layout: `config.json`, `model.safetensors` or `model.safetensors.index.json` with its
 * shards, and, where present, `generation_config.json`, `tokenizer.json` (for Phi-3-small `cl100k_base.tiktoken`),
 * `tokenizer_config.json`, and `preprocessor_config.json` for vision members.
 *
 * @throws Phi3Error `CHECKPOINT_FILE_MISSING` without a configuration or weights; the codes of `@phiblocks/weights` and
 * `@phiblocks/tokenizer` for faults in the files
 */
export async function openCheckpointFiles(files: CheckpointFiles): Promise<Checkpoint> {
  const readFile = async (name: string): Promise<Uint8Array | undefined> => {
    const source = await files.open(name);
    if (!source) return undefined;
    try {
      return await readDescription(source, name);
    } finally {
      await source.close();
    }
  };

  const configBytes = await readFile('config.json');
  if (!configBytes) throw missingFile(files.name, 'config.json');
  const config = parsePhi3Config(configBytes);
  const generationBytes = await readFile('generation_config.json');
  const generationConfig = generationBytes && parseGenerationConfig(generationBytes, { vocabSize: config.vocabSize });
  const tokenizerBytes = await readFile('tokenizer.json');
  const tokenizerConfig = await readFile('tokenizer_config.json');
  const tokenizer = tokenizerBytes
    ? parseTokenizerJson(tokenizerBytes, { tokenizerConfig })
    : await smallTokenizer(config, readFile);
  expectVocabularyFits(config, { numTokens: tokenizer?.vocabSize });
  const templateFile = await readFile('chat_template.jinja');
  const template = templateFile
    ? new TextDecoder().decode(templateFile)
    : tokenizerConfig && chatTemplateSource(tokenizerConfig);
  const preprocessorBytes = config.modelType === 'phi3_v' ? await readFile('preprocessor_config.json') : undefined;
  const preprocessorConfig = preprocessorBytes && parsePreprocessorConfig(preprocessorBytes);
  const warnings = [
    ...config.warnings,
    ...(generationConfig?.warnings ?? []),
    ...(preprocessorConfig?.warnings ?? []),
    ...warningsOf(tokenizer),
  ];
  const chatTemplate = chatTemplateOf(template, warnings);

  const weights = await (files.openWeights?.() ?? openWeights(files, readFile));
  return {
    name: files.name,
    format: 'safetensors',
    config,
    generationConfig,
    preprocessorConfig,
    weights,
    tokenizer,
    chatTemplate,
    warnings: [...warnings, ...weights.warnings],
    close: () => weights.close(),
  };
}

/** Phi-3-small brings its tokenizer as a list of ranks; what else it needs is in the code beside the checkpoint. */
async function smallTokenizer(
  config: ModelConfig,
  readFile: (name: string) => Promise<Uint8Array | undefined>,
): Promise<Tokenizer | undefined> {
  const ranks = config.modelType === 'phi3small' ? await readFile('cl100k_base.tiktoken') : undefined;
  return ranks && createPhi3SmallTokenizer(ranks);
}

async function readDescription(source: ByteSource, name: string): Promise<Uint8Array> {
  if (source.sizeInBytes > longestDescription) {
    throw new Phi3Error({
      code: 'CHECKPOINT_FILE_TOO_LARGE',
      function: 'openCheckpoint',
      expected: `at most ${longestDescription} bytes`,
      got: source.sizeInBytes,
      where: { file: name },
    });
  }
  return source.read(0, source.sizeInBytes);
}

async function openWeights(
  files: CheckpointFiles,
  readFile: (name: string) => Promise<Uint8Array | undefined>,
): Promise<WeightSource> {
  const single = await files.open('model.safetensors');
  if (single) return openSafetensors(single);
  const index = await readFile('model.safetensors.index.json');
  if (!index) throw missingFile(files.name, 'model.safetensors');
  return openShardedSafetensors(index, (name) => files.open(name));
}

/**
 * Opens a checkpoint that is one GGUF file of architecture phi3, or all parts of one that was split: configuration, tokenizer
 * and weights come from it.
 *
 * @param source - the file, or its parts in order
 * @throws Phi3Error the codes of `@phiblocks/weights` and `@phiblocks/tokenizer` for faults in the file
 */
export async function openGgufCheckpoint(source: ByteSource | readonly ByteSource[]): Promise<Checkpoint> {
  const sources = isList(source) ? source : [source];
  const gguf = await openGgufFile(sources);
  try {
    const config = await configFromGguf(gguf);
    const warnings = [...config.warnings, ...gguf.warnings];
    const chatTemplate = chatTemplateOf(untrustedChatTemplate(gguf), warnings);
    const tokenizer = ggufTokenizer(gguf, chatTemplate);
    expectVocabularyFits(config, { numTokens: tokenizer.vocabSize });
    return {
      name: sources[0]!.name,
      format: 'gguf',
      config,
      generationConfig: undefined,
      weights: withCheckpointNames(gguf),
      tokenizer,
      chatTemplate,
      warnings: [...warnings, ...warningsOf(tokenizer)],
      close: () => gguf.close(),
    };
  } catch (error) {
    await gguf.close();
    throw error;
  }
}

function isList(source: ByteSource | readonly ByteSource[]): source is readonly ByteSource[] {
  return Array.isArray(source);
}

function openGgufFile(sources: readonly ByteSource[]): Promise<GgufFile> {
  return sources.length === 1 ? openGguf(sources[0]!) : openSplitGguf(sources);
}

/** Reads only the tokenizer of a GGUF file, or of all parts of a split one, and closes it. */
export async function openGgufTokenizer(source: ByteSource | readonly ByteSource[]): Promise<Tokenizer> {
  const gguf = await openGgufFile(isList(source) ? source : [source]);
  try {
    return ggufTokenizer(gguf, chatTemplateOf(untrustedChatTemplate(gguf), []));
  } finally {
    await gguf.close();
  }
}

/** GGUF does not say which added tokens swallow white space. The chat format tells which release the file was made of. */
function ggufTokenizer(gguf: GgufFile, chatTemplate: ChatTemplateName | undefined): Tokenizer {
  const rules = new Map<ChatTemplateName | undefined, AddedTokenRules>([
    ['phi-3-mini-first-release', 'phi-3-mini-first-release'],
    ['phi-3-mini', 'phi-3-mini'],
    ['phi-3-medium', 'phi-3-medium'],
    ['phi-3.5-mini', 'phi-3-mini'],
    ['phi-3-vision', 'phi-3-vision'],
  ]);
  const vocabulary = ggufVocabulary(gguf);
  return createGgufTokenizer(
    {
      model: vocabulary.model,
      tokens: vocabulary.tokens,
      // A list that is missing has another length than the tokens, which the tokenizer reports.
      scores: vocabulary.scores ?? [],
      tokenTypes: vocabulary.tokenTypes ?? [],
      addBosToken: vocabulary.addBosToken,
      addEosToken: vocabulary.addEosToken,
      addSpacePrefix: vocabulary.addSpacePrefix,
      bosTokenId: vocabulary.bosTokenId,
      eosTokenId: vocabulary.eosTokenId,
      paddingTokenId: vocabulary.paddingTokenId,
      unknownTokenId: vocabulary.unknownTokenId,
    },
    { addedTokenRules: rules.get(chatTemplate) },
  );
}

function warningsOf(tokenizer: Tokenizer | undefined): string[] {
  return tokenizer ? tokenizer.warnings.map((warning) => warning.message) : [];
}

/** Templates from files are never run: a published one is recognised by its text, another one is left out and said. */
function chatTemplateOf(source: string | undefined, warnings: string[]): ChatTemplateName | undefined {
  if (source === undefined) return undefined;
  try {
    return detectChatTemplate(source);
  } catch (error) {
    if (!isPhi3Error(error)) throw error;
    warnings.push(`${error.message} Chat needs the name of a published template.`);
    return undefined;
  }
}

function missingFile(checkpoint: string, file: string): Phi3Error {
  return new Phi3Error({
    code: 'CHECKPOINT_FILE_MISSING',
    function: 'openCheckpoint',
    expected: file,
    where: { file: checkpoint },
    hint: 'A checkpoint is a directory with config.json and model.safetensors (or its index and shards), or a .gguf file.',
  });
}
