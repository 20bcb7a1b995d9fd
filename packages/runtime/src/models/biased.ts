import type { TensorHandle } from '@phiblocks/tensor';

/** A weight with its bias. */
export interface Biased<Weight> {
  readonly weight: Weight;
  readonly bias: TensorHandle;
}

/** A weight with the bias that it has in some checkpoints. */
export interface MaybeBiased<Weight> {
  readonly weight: Weight;
  readonly bias: TensorHandle | undefined;
}
