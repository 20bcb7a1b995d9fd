import { readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import {
  type Checkpoint,
  chatTemplateSource,
  familyMember,
  phi3TensorPlan,
  phiMoeTensorPlan,
} from '@phiblocks/runtime';
import { openCheckpoint } from '@phiblocks/runtime/node';
import { Phi3Error } from '@phiblocks/tensor';
import {
  checkpointTensorName,
  configFromGguf,
  type GgufFileType,
  type GgufModelMetadata,
  type GgufVocabulary,
  ggufFileTypeId,
  ggufMetadataOf,
  ggufTensorName,
  ggufVocabularyOf,
  openGguf,
  type StoredTensor,
  type TypedGgufValue,
  type WeightSource,
} from '@phiblocks/weights';
import { openFileSource } from '@phiblocks/weights/node';

/** A tensor of the source. */
export interface SourceTensor {
  readonly stored: StoredTensor;
  /** Undefined where GGUF has no name for it. */
  readonly ggufName: string | undefined;
  /** Which expert of its layer, where the checkpoint has each in tensors of its own. */
  readonly expert?: number | undefined;
  /** By which importance is kept; undefined where a checkpoint has no name for it. */
  readonly checkpointName: string | undefined;
}

/** What is to be quantized: a checkpoint directory or a GGUF file, opened. */
export interface ModelSource {
  readonly path: string;
  readonly kind: 'directory' | 'gguf';
  readonly numLayers: number;
  /** Whether the embedding is the output matrix too. */
  readonly isTied: boolean;
  readonly weights: WeightSource;
  readonly tensors: readonly SourceTensor[];
  /** The part of a GGUF file that does not come from the tensors above. */
  ggufMetadata(fileType: GgufFileType): Promise<GgufModelMetadata>;
  /** What is left out of a GGUF file, in sentences. */
  readonly leftOut: readonly string[];
  close(): Promise<void>;
}

/** Opens a source. Its weights are only described yet. */
export async function openModelSource(path: string): Promise<ModelSource> {
  const found = await stat(path).catch(() => undefined);
  // openCheckpoint also has the error for nothing at the path.
  return found?.isFile() ? openGgufSource(path) : openDirectorySource(path, await openCheckpoint(path));
}

async function openGgufSource(path: string): Promise<ModelSource> {
  const gguf = await openGguf(await openFileSource(path));
  try {
    const config = await configFromGguf(gguf); // rejects what is no model of the family
    return {
      path,
      kind: 'gguf',
      numLayers: config.numHiddenLayers,
      isTied: config.tieWordEmbeddings,
      weights: gguf,
      tensors: [...gguf.tensors.values()].map((stored) => {
        return { stored, ggufName: stored.name, checkpointName: checkpointTensorName(stored.name) };
      }),
      async ggufMetadata(fileType) {
        const metadata = new Map<string, TypedGgufValue>();
        for (const [key, value] of gguf.metadata) {
          if (key !== 'general.alignment') metadata.set(key, { type: gguf.metadata.typeOf(key)!, value });
        }
        metadata.set('general.file_type', { type: 'uint32', value: ggufFileTypeId(fileType) });
        metadata.set('general.quantization_version', { type: 'uint32', value: 2 });
        return { metadata, tensors: [] };
      },
      leftOut: [],
      close: () => gguf.close(),
    };
  } catch (error) {
    await gguf.close();
    throw error;
  }
}

async function openDirectorySource(path: string, checkpoint: Checkpoint): Promise<ModelSource> {
  const { config, weights } = checkpoint;
  // Only where the class is known it is known which tensors belong to it.
  const plan =
    config.modelType === 'phi3'
      ? phi3TensorPlan(config)
      : config.modelType === 'phimoe'
        ? phiMoeTensorPlan(config)
        : undefined;
  const leftOut = [...weights.tensors.keys()].filter((name) => plan !== undefined && !plan.has(name));
  return {
    path,
    kind: 'directory',
    numLayers: config.numHiddenLayers,
    isTied: config.tieWordEmbeddings,
    weights,
    tensors: [...weights.tensors.values()].map((stored) => {
      const ggufName = leftOut.includes(stored.name) ? undefined : ggufTensorName(stored.name);
      const expert = /\.experts\.(\d+)\./.exec(stored.name)?.[1];
      return {
        stored,
        ggufName,
        expert: expert === undefined ? undefined : Number(expert),
        checkpointName: stored.name,
      };
    }),
    async ggufMetadata(fileType) {
      const missing = [...(plan?.keys() ?? [])].filter((name) => !weights.tensors.has(name));
      if (missing.length > 0) throw missingTensors(path, missing);
      const tokenizer = await readIfThere(path, 'tokenizer.json');
      const tokenizerConfig = await readIfThere(path, 'tokenizer_config.json');
      const template = await readIfThere(path, 'chat_template.jinja');
      const vocabulary = tokenizer && ggufVocabularyOf(tokenizer, config, { tokenizerConfig });
      return ggufMetadataOf(config, {
        name: modelName(familyMember(config) ?? basename(resolve(path)), vocabulary),
        fileType,
        vocabulary,
        chatTemplate: template
          ? new TextDecoder().decode(template)
          : tokenizerConfig && chatTemplateSource(tokenizerConfig),
      });
    },
    leftOut: leftOut.map((name) => `${name} is left out: the model has no such tensor`),
    close: () => checkpoint.close(),
  };
}

/**
 * The name for `general.name`. llama.cpp takes a name with "phi3" or "phi-3" in it for a published model, sets the rules for
 * white space after its special tokens, and refuses to load a vocabulary that lacks one of them (`src/llama-vocab.cpp`, the
 * attributes by model name). So such a name is spelled "phi 3" unless all of them are there.
 */
function modelName(name: string, vocabulary: GgufVocabulary | undefined): string {
  const tokens = new Set(vocabulary?.tokens);
  const isPublished = ['<unk>', '<s>', '</s>', '<|endoftext|>'].every((token) => tokens.has(token));
  return isPublished ? name : name.replace(/(phi)-?(3)/gi, '$1 $2');
}

async function readIfThere(folder: string, name: string): Promise<Uint8Array | undefined> {
  return readFile(join(folder, name)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}

function missingTensors(path: string, missing: readonly string[]): Phi3Error {
  return new Phi3Error({
    code: 'MODEL_TENSOR_MISSING',
    function: 'quantize',
    expected: 'every tensor of the model',
    got: missing,
    where: { file: path, tensor: missing[0]! },
  });
}
