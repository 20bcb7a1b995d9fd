import { ArgumentError } from '@phiblocks/tensor';

/** Sizes of a CLIP vision tower; the names are those of CLIP's own configuration, in camelCase. */
export interface ClipConfig {
  /** C */
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  /** Of the whole tower, 24 in ViT-L. The feature is taken before the last one, so one fewer is run. */
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  /** Pixels on a side of the input. */
  readonly imageSize: number;
  /** Pixels on a side of a patch. */
  readonly patchSize: number;
  readonly layerNormEps: number;
}

/**
 * CLIP ViT-L/14-336, the tower of Phi-3-vision and Phi-3.5-vision. Their config.json only names it.
 *
 * Source: `CLIP_VIT_LARGE_PATCH14_336_CONFIG` in `image_embedding_phi3_v.py`.
 *
 * @example
 * clipVitLargePatch14At336.hiddenSize; // => 1024
 */
export const clipVitLargePatch14At336: ClipConfig = {
  hiddenSize: 1024,
  intermediateSize: 4096,
  numHiddenLayers: 24,
  numAttentionHeads: 16,
  imageSize: 336,
  patchSize: 14,
  layerNormEps: 1e-5,
};

/** Checks that the sizes are whole numbers that divide each other where they must. */
export function expectClipConfig(functionName: string, config: ClipConfig): void {
  const fail = (argument: string, expected: string, got: unknown): never => {
    throw new ArgumentError({ function: functionName, argument: `config.${argument}`, expected, got });
  };
  for (const name of [
    'hiddenSize',
    'intermediateSize',
    'numHiddenLayers',
    'numAttentionHeads',
    'imageSize',
    'patchSize',
  ] as const) {
    if (!Number.isSafeInteger(config[name]) || config[name] < 1) fail(name, 'a whole number from 1 up', config[name]);
  }
  if (config.hiddenSize % config.numAttentionHeads !== 0) {
    fail('numAttentionHeads', `a divisor of ${config.hiddenSize}`, config.numAttentionHeads);
  }
  if (config.imageSize % config.patchSize !== 0) {
    fail('patchSize', `a divisor of ${config.imageSize}`, config.patchSize);
  }
  if (!(config.layerNormEps > 0 && config.layerNormEps < Infinity)) {
    fail('layerNormEps', 'a finite number above 0', config.layerNormEps);
  }
}
