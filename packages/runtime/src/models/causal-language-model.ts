import type { RotaryConfig } from '@phiblocks/longrope';
import type { Backend, CacheHandle, FloatTensor } from '@phiblocks/tensor';
import type { ModelConfig } from '@phiblocks/weights';
import type { ForwardOptions } from './forward-options.ts';

/** What generation needs of a model, whichever class it is. */
export interface CausalLanguageModel {
  readonly config: ModelConfig;
  readonly rotary: RotaryConfig;
  readonly backend: Backend;
  createCache(): CacheHandle;
  forward(ids: Int32Array, cache: CacheHandle, options: ForwardOptions): Promise<FloatTensor>;
  /** Frees the weights. Sessions must have been disposed before. */
  dispose(): void;
}
