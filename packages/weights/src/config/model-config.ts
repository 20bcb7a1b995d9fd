/** The two factor lists of a long-context checkpoint. */
export interface RopeScalingConfig {
  /** `su`, the older spelling, is read as `longrope`. `yarn` has the same lists and another attention factor. */
  readonly type: 'longrope' | 'yarn';
  /** R/2 factors for lengths up to `originalMaxPositionEmbeddings`; R is the number of components of a head that rotate. */
  readonly shortFactor: readonly number[];
  /** R/2 factors for lengths above it. */
  readonly longFactor: readonly number[];
  /** Attention factor of the short list where the file states one; otherwise it follows from the two lengths. */
  readonly shortMscale?: number | undefined;
  /** Attention factor of the long list, likewise. */
  readonly longMscale?: number | undefined;
  /** The length at which the lists change. */
  readonly originalMaxPositionEmbeddings: number;
}

/** What all members of the family have in common. Names are those of the checkpoint in camelCase. */
export interface CommonConfig {
  /** Rows of the embedding. A tokenizer may use fewer. */
  readonly vocabSize: number;
  readonly hiddenSize: number;
  /** Width of the feed-forward part, of one expert for `phimoe`. Phi-3-small calls it `ff_intermediate_size`. */
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
  /** `hiddenSize / numAttentionHeads` where the file does not say otherwise. */
  readonly headDim: number;
  readonly maxPositionEmbeddings: number;
  /** The length the model was first trained for; `maxPositionEmbeddings` where the file does not say. */
  readonly originalMaxPositionEmbeddings: number;
  /** Phi-3-small calls it `rope_embedding_base`. */
  readonly ropeTheta: number;
  /** The part of each head that rotates. */
  readonly partialRotaryFactor: number;
  readonly ropeScaling: RopeScalingConfig | undefined;
  /** Keys that a query sees, itself included; `undefined` where the window is absent or no smaller than the context. */
  readonly slidingWindow: number | undefined;
  /** Whether the output matrix is the embedding. */
  readonly tieWordEmbeddings: boolean;
  readonly bosTokenId: number | undefined;
  /**
   * Often incomplete: the tokens that end a chat reply are in `generation_config.json`, see {@link parseGenerationConfig}.
   */
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | undefined;
  /** What was accepted but a person should know, in sentences. */
  readonly warnings: readonly string[];
}

/** Phi-3-mini, Phi-3-medium, Phi-3.5-mini, Phi-4-mini. */
export interface Phi3Config extends CommonConfig {
  readonly modelType: 'phi3';
  readonly hiddenAct: 'silu';
  readonly rmsNormEps: number;
}

/** Phi-3-small. */
export interface Phi3SmallConfig extends CommonConfig {
  readonly modelType: 'phi3small';
  readonly hiddenAct: 'gegelu';
  readonly layerNormEpsilon: number;
  /** Bound of the clamp inside gegelu; `undefined` for none. */
  readonly gegeluLimit: number | undefined;
  readonly mupUseScaling: boolean;
  readonly mupWidthMultiplier: number;
  readonly mupEmbeddingMultiplier: number;
  readonly mupAttnMultiplier: number;
  /** Multiplies every position. */
  readonly ropePositionScale: number;
  readonly blocksparseBlockSize: number;
  readonly blocksparseNumLocalBlocks: number;
  readonly blocksparseVertStride: number;
  readonly blocksparseHomoHeadPattern: boolean;
  /** Layer N is dense when N + 1 is a multiple of this; `undefined`: every layer is block-sparse. */
  readonly denseAttentionEveryNLayers: number | undefined;
  /** Tokens that are never generated: their logits are set to −∞. */
  readonly dummyTokenIndices: readonly number[];
}

/** Phi-3.5-MoE. */
export interface PhiMoeConfig extends CommonConfig {
  readonly modelType: 'phimoe';
  readonly hiddenAct: 'silu';
  /** Named so, but the norms are LayerNorms with weight and bias. */
  readonly rmsNormEps: number;
  readonly numLocalExperts: number;
  readonly numExpertsPerTok: 2;
  /** Half the threshold of the sparse mixer, used at inference too. */
  readonly routerJitterNoise: number;
  /** Whether q, k, v and o projections have biases. */
  readonly attentionBias: boolean;
  readonly lmHeadBias: boolean;
}

/** The CLIP vision tower. */
export interface ClipVisionConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  /** Side of a crop in pixels. */
  readonly imageSize: number;
  /** Side of a patch in pixels. */
  readonly patchSize: number;
  readonly numChannels: number;
  readonly hiddenAct: 'quick_gelu';
  readonly layerNormEps: number;
}

/** Phi-3-vision, Phi-3.5-vision. */
export interface Phi3VisionConfig extends CommonConfig {
  readonly modelType: 'phi3_v';
  readonly hiddenAct: 'silu';
  readonly rmsNormEps: number;
  readonly imgProcessor: {
    readonly name: 'clip_vision_model';
    readonly modelName: string | undefined;
    /** Width of the features, that of the vision tower. */
    readonly imageDimOut: number;
    /** Image tokens of one crop. */
    readonly numImgTokens: number;
    /** From `clip_config`, which published files lack: theirs is OpenAI's CLIP ViT-L/14-336. */
    readonly clipConfig: ClipVisionConfig;
  };
  readonly embdLayer: {
    readonly hdTransformOrder: 'sub_glb';
    readonly projectionCls: 'mlp';
    readonly useHdTransform: true;
    readonly withLearnableSeparator: true;
  };
}

/** The configuration of any member of the family; `modelType` says which. */
export type ModelConfig = Phi3Config | Phi3SmallConfig | PhiMoeConfig | Phi3VisionConfig;
