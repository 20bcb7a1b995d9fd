import { ArgumentError, expectKnownOptions, Phi3Error } from '@phiblocks/tensor';
import { type FactorList, positionLimit, type RotaryConfig, validateRotaryConfig } from './config.ts';

/**
 * What to do about the two factor lists when a sequence may pass L0 = `originalMaxPositionEmbeddings`. Keys in a cache
 * are already rotated: once the list changes, rotated keys of the old list and queries of the new one give wrong numbers
 * without an error.
 *
 * - `reference`: the list follows the length; when it changes, drop the cache and run the whole sequence again. What
 *   huggingface/transformers computes.
 * - `rerotate`: the list follows the length; keys are cached unrotated and rotated whenever they are read. The numbers of
 *   `reference` for a sequence that lies on one side of L0, for more work per step. When a sequence grows past L0, every query meets every key
 *   with the same list, as in `reference`; but keys and values above the first layer were computed from attention with
 *   the short list, which only running again would change.
 * - `capacity`: the list is chosen once, from the longest length that the session may reach. What llama.cpp and vLLM do;
 *   short prompts of a long session get the long list, which gives other numbers than `reference`.
 * - `short`, `long`: always that list.
 */
export type RopePolicy = 'reference' | 'rerotate' | 'capacity' | 'short' | 'long';

/** The lengths that a choice of list depends on, in tokens. */
export interface SequenceLengths {
  /** Largest position of the forward pass plus one. For a prompt that is run in chunks: that of the last chunk. */
  readonly length: number;
  /** The longest length that the session may reach; needed by `capacity`. */
  readonly capacity?: number | undefined;
}

/**
 * The factor list of one forward pass, for all of its positions and frequencies. `long` when the deciding length is
 * above L0: length 4096 of a 4096 → 131072 model takes the short list, 4097 the long one. Without `ropeScaling` it is
 * `none` under every policy.
 *
 * A prompt that is run in chunks needs one list: pass the length of the whole prompt for each of them.
 *
 * @param config - checked by `validateRotaryConfig`
 * @param policy - see {@link RopePolicy}
 * @param lengths - `length` always; `capacity` with the policy `capacity`
 * @throws Phi3Error `LR_CAPACITY` under `capacity` when `length` is above `capacity`
 * @throws ArgumentError `ARGUMENT` for an unknown policy, a missing capacity or a length that is not a whole number from
 * 0 to 2^24; Phi3Error `OPTION_UNKNOWN` for another field in `lengths`; as `validateRotaryConfig` for the configuration
 * @example
 * const ropeScaling = { type: 'longrope', shortFactor: [1, 1], longFactor: [1, 2] };
 * const config = { headDim: 4, ropeTheta: 10000, maxPositionEmbeddings: 131072, originalMaxPositionEmbeddings: 4096, ropeScaling };
 * selectFactorList(config, 'reference', { length: 4096 }); // => 'short'
 * selectFactorList(config, 'reference', { length: 4097 }); // => 'long'
 * selectFactorList(config, 'capacity', { length: 10, capacity: 8192 }); // => 'long'
 */
export function selectFactorList(config: RotaryConfig, policy: RopePolicy, lengths: SequenceLengths): FactorList {
  validateRotaryConfig(config);
  expectKnownOptions('selectFactorList', lengths, ['length', 'capacity']);
  expectPolicy('selectFactorList', policy);
  const { length, capacity } = lengths;
  expectLength('selectFactorList', 'lengths.length', length);
  let decidingLength = length;
  if (policy === 'capacity') {
    expectLength('selectFactorList', 'lengths.capacity', capacity);
    if (length > capacity) {
      throw new Phi3Error({
        code: 'LR_CAPACITY',
        function: 'selectFactorList',
        argument: 'lengths.length',
        expected: `at most ${capacity}, the capacity`,
        got: length,
      });
    }
    decidingLength = capacity;
  }
  if (config.ropeScaling === undefined) return 'none';
  if (policy === 'short' || policy === 'long') return policy;
  return decidingLength > config.originalMaxPositionEmbeddings! ? 'long' : 'short';
}

/**
 * True when the cached keys carry another list than the next forward pass will use, so that the cache must be dropped and
 * the whole sequence run again. Only the policy `reference` ever asks for it.
 *
 * The lists differ in either direction: a session rewound from above L0 to below it holds keys of the long list too.
 * That is why `fromLength` is the length with which the cached keys were rotated, not the number of keys that are left.
 *
 * @param config - checked by `validateRotaryConfig`
 * @param policy - see {@link RopePolicy}
 * @param fromLength - the `length` given to `selectFactorList` for the pass that wrote the cache; 0 for an empty cache
 * @param toLength - the `length` of the next pass
 * @throws ArgumentError `ARGUMENT` as `selectFactorList`
 * @example
 * const ropeScaling = { type: 'longrope', shortFactor: [1, 1], longFactor: [1, 2] };
 * const config = { headDim: 4, ropeTheta: 10000, maxPositionEmbeddings: 131072, originalMaxPositionEmbeddings: 4096, ropeScaling };
 * crossesBoundary(config, 'reference', 4096, 4097); // => true
 * crossesBoundary(config, 'rerotate', 4096, 4097); // => false
 */
export function crossesBoundary(
  config: RotaryConfig,
  policy: RopePolicy,
  fromLength: number,
  toLength: number,
): boolean {
  validateRotaryConfig(config);
  expectPolicy('crossesBoundary', policy);
  expectLength('crossesBoundary', 'fromLength', fromLength);
  expectLength('crossesBoundary', 'toLength', toLength);
  if (policy !== 'reference' || fromLength === 0) return false;
  return (
    selectFactorList(config, policy, { length: fromLength }) !== selectFactorList(config, policy, { length: toLength })
  );
}

function expectPolicy(functionName: string, policy: string): void {
  if (!['reference', 'rerotate', 'capacity', 'short', 'long'].includes(policy)) {
    throw new ArgumentError({
      function: functionName,
      argument: 'policy',
      expected: 'reference, rerotate, capacity, short or long',
      got: policy,
    });
  }
}

function expectLength(functionName: string, argument: string, value: number | undefined): asserts value is number {
  if (!Number.isInteger(value) || value! < 0 || value! > positionLimit) {
    throw new ArgumentError({
      function: functionName,
      argument,
      expected: 'a whole number from 0 to 2^24',
      got: value,
    });
  }
}
