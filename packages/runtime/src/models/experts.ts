import type { Backend, ExpertWeights, RoutingHandle } from '@phiblocks/tensor';
import type { WeightSource } from '@phiblocks/weights';

/** The experts of every layer, wherever their weights are. */
export interface Experts {
  /**
   * Runs `run` with the experts of a layer, by number. Those that the routing chose are there; others may be undefined.
   * They must not be used after `run` has returned.
   */
  use<Result>(
    layer: number,
    routing: RoutingHandle,
    run: (experts: readonly (ExpertWeights | undefined)[]) => Result,
  ): Promise<Result>;
  free(): void;
}

/** Experts that are all loaded. The routing is not read, so nothing waits. */
export function createResidentExperts(layers: readonly (readonly ExpertWeights[])[]): Experts {
  return { use: async (layer, _routing, run) => run(layers[layer]!), free() {} };
}

/** The checkpoint keys of one expert. */
export type ExpertKeys = Readonly<Record<'w1' | 'w2' | 'w3', string>>;

interface HeldExpert {
  readonly weights: Promise<ExpertWeights>;
  /** The same, once they are read. */
  loaded: ExpertWeights | undefined;
  readonly sizeInBytes: number;
  /** How many passes use it now. Sessions may run in turn on one model, so one's experts must outlast the other's eviction. */
  users: number;
}

/**
 * Experts that are read when a token first chooses them. Those used last stay, up to `cacheInBytes`; the experts that one
 * layer of one pass chooses are always held together, also where they are more than that.
 *
 * @param source - the checkpoint; it must stay open
 * @param keysOf - where the weights of an expert are
 * @param cacheInBytes - bytes of stored weights to keep
 */
export function createExpertsOnDemand(
  source: WeightSource,
  backend: Backend,
  numExperts: number,
  keysOf: (layer: number, expert: number) => ExpertKeys,
  cacheInBytes: number,
): Experts {
  // In the order of last use: a Map keeps the order of insertion, and a used expert is inserted again.
  const held = new Map<string, HeldExpert>();
  let heldBytes = 0;

  function evict(name: string, expert: HeldExpert): void {
    held.delete(name);
    heldBytes -= expert.sizeInBytes;
    if (!expert.loaded) return;
    for (const weight of [expert.loaded.w1, expert.loaded.w2, expert.loaded.w3]) backend.free(weight);
  }

  function makeRoom(sizeInBytes: number): void {
    for (const [name, expert] of held) {
      if (heldBytes + sizeInBytes <= cacheInBytes) return;
      if (expert.users === 0) evict(name, expert);
    }
  }

  async function read({ w1, w2, w3 }: ExpertKeys): Promise<ExpertWeights> {
    const [first, second, third] = await Promise.all([w1, w2, w3].map((key) => source.readMatrix(key)));
    return {
      w1: backend.uploadWeight(first!),
      w2: backend.uploadWeight(second!),
      w3: backend.uploadWeight(third!),
    };
  }

  function startReading(name: string, keys: ExpertKeys): HeldExpert {
    const sizeInBytes = [keys.w1, keys.w2, keys.w3].reduce((sum, key) => sum + source.tensors.get(key)!.sizeInBytes, 0);
    makeRoom(sizeInBytes);
    heldBytes += sizeInBytes;
    const weights = read(keys).then(
      (loaded) => {
        expert.loaded = loaded;
        return loaded;
      },
      (error: unknown) => {
        evict(name, expert); // the next pass tries again
        throw error;
      },
    );
    const expert: HeldExpert = { weights, loaded: undefined, sizeInBytes, users: 0 };
    return expert;
  }

  return {
    async use(layer, routing, run) {
      const { expertIds } = await backend.readRouting(routing);
      const taken: HeldExpert[] = [];
      try {
        const experts: (ExpertWeights | undefined)[] = new Array(numExperts).fill(undefined);
        for (const number of new Set(expertIds)) {
          const name = `${layer} ${number}`;
          const expert = held.get(name) ?? startReading(name, keysOf(layer, number));
          held.delete(name);
          held.set(name, expert); // now the one used last
          expert.users++;
          taken.push(expert);
          experts[number] = await expert.weights;
        }
        return run(experts);
      } finally {
        for (const expert of taken) expert.users--;
      }
    },
    free() {
      for (const [name, expert] of held) evict(name, expert);
    },
  };
}
