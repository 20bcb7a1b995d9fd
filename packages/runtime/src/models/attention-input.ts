import type { CacheHandle, Operations, RotaryHandle, TensorHandle } from '@phiblocks/tensor';

/** What the self-attention of a model gets, whichever class the model is. */
export interface AttentionInput<Config, Layer> {
  readonly config: Config;
  readonly layer: Layer;
  readonly index: number;
  /** The positions of this pass. */
  readonly rotary: RotaryHandle;
  /** All positions up to now, when the cache holds unrotated keys. */
  readonly keyRotation: RotaryHandle | undefined;
  readonly cache: CacheHandle;
  readonly hidden: TensorHandle; // [T, C], normalised
  observe(name: string, tensor: TensorHandle): TensorHandle;
}

/** `[T, C]` in, `[T, C]` out; appends the keys and values of the new tokens to the cache. */
export type SelfAttention<Config, Layer> = (ops: Operations, input: AttentionInput<Config, Layer>) => TensorHandle;
