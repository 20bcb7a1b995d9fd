import type { RotaryConfig } from '@phiblocks/longrope';
import type { Backend, CacheHandle, FloatTensor } from '@phiblocks/tensor';
import type { RgbImage } from '@phiblocks/vision';
import type { ModelConfig } from '@phiblocks/weights';
import type { ForwardOptions } from './forward-options.ts';

/** What generation needs of a model, whichever class it is. */
export interface CausalLanguageModel {
  readonly config: ModelConfig;
  readonly rotary: RotaryConfig;
  readonly backend: Backend;
  /** What makes tokens of images; undefined for models that see none. */
  readonly images?: ImageEncoder | undefined;
  createCache(): CacheHandle;
  forward(ids: Int32Array, cache: CacheHandle, options: ForwardOptions): Promise<FloatTensor>;
  /** Frees the weights. Sessions must have been disposed before. */
  dispose(): void;
}

/** The image side of a model. */
export interface ImageEncoder {
  /** How many tokens an image of some size takes. */
  numImageTokens(size: { readonly width: number; readonly height: number }): number;
  /** The rows that stand for an image in the prompt, `[numImageTokens, C]`. */
  encode(image: RgbImage, options?: EncodeImageOptions): Promise<FloatTensor>;
}

export interface EncodeImageOptions {
  /** As in {@link ForwardOptions}; awaited before each layer of the tower. */
  readonly betweenLayers?: ForwardOptions['betweenLayers'];
  /**
   * Shows `crops.N.embeddings` and `crops.N.hidden.M` for every crop N (0 is the global view), then `projectorInput` and
   * `imageEmbeddings`.
   */
  readonly onTensor?: ForwardOptions['onTensor'];
}
