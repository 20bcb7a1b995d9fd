import type { FactorList } from '@phiblocks/longrope';
import type { FloatTensor, RoutingHandle, TensorHandle } from '@phiblocks/tensor';

/** Rows of an image among the tokens of one forward pass. */
export interface ImageRows {
  /** First of the rows, counted in the tokens of the pass. */
  readonly row: number;
  readonly count: number;
  /** `[numImageTokens, C]`, from {@link CausalLanguageModel.images} */
  readonly features: FloatTensor;
  /** First row of `features`; above 0 where the pass begins inside an image. */
  readonly firstFeature: number;
}

/** What one forward pass needs to know besides the tokens. The same for every model of the family. */
export interface ForwardOptions {
  /** Which rows of logits are wanted. The head is computed for these rows only; `none` still runs every layer. */
  readonly logits: 'none' | 'last' | 'all';
  /** The LongRoPE list for every position of this pass; `none` for models without one. */
  readonly factorList: FactorList;
  /** Keys go to the cache unrotated and are rotated when read, with the list of the pass that reads them. */
  readonly rotateOnRead?: boolean | undefined;
  /** The images among the tokens, for models that see images. Their ids are negative. */
  readonly images?: readonly ImageRows[] | undefined;
  /** Awaited before each layer and before its MLP: the place to step aside for other work and, by throwing, to stop. */
  readonly betweenLayers?: (() => Promise<void>) | undefined;
  /**
   * Shows every named intermediate, for example `hidden.3` or `layers.0.qkvProj`. The handle may be read until the
   * returned promise settles; afterwards it is freed.
   */
  readonly onTensor?: ((name: string, tensor: TensorHandle) => void | Promise<void>) | undefined;
  /** Shows the routing of every layer of experts, for example `layers.0.routing`, as `onTensor` shows tensors. */
  readonly onRouting?: ((name: string, routing: RoutingHandle) => void | Promise<void>) | undefined;
}

/** Passes handles through and shows them to `onTensor`; `settled` waits until every observer has read. */
export function createObserver(
  onTensor: ForwardOptions['onTensor'],
  onRouting?: ForwardOptions['onRouting'],
): {
  observe(name: string, tensor: TensorHandle): TensorHandle;
  observeRouting(name: string, routing: RoutingHandle): RoutingHandle;
  settled(): Promise<void>;
} {
  let pending: (void | Promise<void>)[] = [];
  return {
    observe(name, tensor) {
      if (onTensor) pending.push(onTensor(name, tensor));
      return tensor;
    },
    observeRouting(name, routing) {
      if (onRouting) pending.push(onRouting(name, routing));
      return routing;
    },
    async settled() {
      if (pending.length > 0) await Promise.all(pending);
      pending = [];
    },
  };
}
