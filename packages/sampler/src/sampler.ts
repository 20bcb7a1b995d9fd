import { ArgumentError } from '@phiblocks/tensor';
import { penalizeFrequency } from './apply-frequency-penalty.ts';
import { addLogitBias } from './apply-logit-bias.ts';
import { ruleOutTokens } from './apply-min-new-tokens.ts';
import { keepMinP } from './apply-min-p.ts';
import { ruleOutRepeatedNgrams } from './apply-no-repeat-ngram.ts';
import { penalizePresence } from './apply-presence-penalty.ts';
import { penalizeRepetition } from './apply-repetition-penalty.ts';
import { divideByTemperature } from './apply-temperature.ts';
import { keepTopK } from './apply-top-k.ts';
import { keepTopP } from './apply-top-p.ts';
import { keepTypicalP } from './apply-typical-p.ts';
import { copyLogits, expectFloat32, expectIds } from './checks.ts';
import type { TokenHistory } from './history.ts';
import { expectCount, mostLikely, normalizerOf, type TokenLogprob } from './log-probabilities.ts';
import { resolveOptions, type SamplerOptions } from './options.ts';
import { indexOfLargest } from './pick-greedy.ts';
import { drawToken } from './pick-random.ts';
import { createRandom, expectRandomState, type RandomState } from './random.ts';

/** The chosen token and, where `logprobs` is set, what the model itself thought. */
export interface Sample {
  readonly id: number;
  /** Natural logarithm of the probability in the model's own distribution, before any step. */
  readonly logprob?: number;
  /** The most likely tokens of the model's own distribution; those of probability 0 are left out. */
  readonly topLogprobs?: TokenLogprob[];
}

/** What a sampler remembers between tokens. Plain data, safe in JSON. */
export interface SamplerState {
  readonly seed: number;
  readonly random: RandomState;
}

/** Chooses tokens by fixed options. Its only memory is the state of its generator: the history is passed in. */
export interface Sampler {
  /** The seed in use, also when it was drawn. */
  readonly seed: number;
  /**
   * Chooses the next token. The logits are not written to.
   *
   * @param logits - `[V]`; -Infinity for tokens that must not come
   * @param history - prompt and answer so far; empty when absent
   * @throws Phi3Error `NUM_NAN` for a logit that is NaN or +Infinity, `SAMPLER_EMPTY` when no token is left
   * @throws ArgumentError `ARGUMENT` for ids outside the vocabulary, or more `logprobs` than the vocabulary has
   */
  sample(logits: Float32Array, history?: TokenHistory): Sample;
  saveState(): SamplerState;
  /** Continues where the saved sampler stood; its seed becomes the saved one. */
  restoreState(state: SamplerState): void;
}

const noHistory: TokenHistory = { promptIds: [], generatedIds: [] };

/**
 * Creates a sampler. Its steps run in the order of Hugging Face transformers (`_get_logits_processor`): logit bias,
 * repetition penalty, no-repeat n-gram, minimum length; then, above temperature 0, temperature, top-k, top-p, min-p,
 * typical-p. Frequency and presence penalty, which transformers does not have, follow the repetition penalty, as in vLLM.
 *
 * @param options - see {@link SamplerOptions}; without any it is greedy
 * @throws Phi3Error `OPTION_UNKNOWN` for an option name that it does not know
 * @throws ArgumentError `ARGUMENT` for a value outside its range
 * @example
 * const sampler = createSampler({ temperature: 0.7, topP: 0.9, seed: 42 });
 * sampler.sample(Float32Array.of(0, 9, 0), { promptIds: [0], generatedIds: [] }).id; // => 1
 */
export function createSampler(options: SamplerOptions = {}): Sampler {
  const resolved = resolveOptions('createSampler', options);
  const random = createRandom(resolved.seed);
  const changesLogits =
    resolved.logitBias.ids.length > 0 ||
    resolved.repetitionPenalty !== 1 ||
    resolved.frequencyPenalty !== 0 ||
    resolved.presencePenalty !== 0 ||
    resolved.noRepeatNgramSize > 0 ||
    resolved.minNewTokens > 0 ||
    resolved.temperature > 0;
  let seed = resolved.seed;
  // Working memory, made for the first logits and kept while their number stays the same.
  let work = new Float32Array(0);
  let scratch = new Float64Array(0);
  let counts = new Uint32Array(0);

  function processed(logits: Float32Array, history: TokenHistory): Float32Array {
    const { repetitionPenalty, frequencyPenalty, presencePenalty, noRepeatNgramSize, minNewTokens, temperature } =
      resolved;
    const { topK, topP, minP, typicalP } = resolved;
    expectIds('sample', 'history.promptIds', history?.promptIds);
    expectIds('sample', 'history.generatedIds', history.generatedIds);
    copyLogits('sample', logits, work);
    addLogitBias(work, resolved.logitBias, 'sample', 'logitBias');
    if (repetitionPenalty !== 1) penalizeRepetition(work, history, repetitionPenalty, counts, 'sample');
    if (frequencyPenalty !== 0) {
      penalizeFrequency(work, history.generatedIds, frequencyPenalty, counts, 'sample', 'history.generatedIds');
    }
    if (presencePenalty !== 0) {
      penalizePresence(work, history.generatedIds, presencePenalty, counts, 'sample', 'history.generatedIds');
    }
    if (noRepeatNgramSize > 0) ruleOutRepeatedNgrams(work, history, noRepeatNgramSize, 'sample');
    if (history.generatedIds.length < minNewTokens) {
      ruleOutTokens(work, resolved.eosTokenIds, 'sample', 'eosTokenIds');
    }
    if (temperature === 0) return work;
    if (temperature !== 1) divideByTemperature(work, temperature);
    if (topK > 0) keepTopK(work, topK, scratch);
    if (topP < 1) keepTopP(work, topP, scratch);
    if (minP > 0) keepMinP(work, minP);
    if (typicalP < 1) keepTypicalP(work, typicalP, scratch);
    return work;
  }

  return {
    get seed() {
      return seed;
    },
    sample(logits, history = noHistory) {
      expectFloat32('sample', logits);
      if (scratch.length !== 2 * logits.length) {
        work = new Float32Array(logits.length);
        scratch = new Float64Array(2 * logits.length);
        counts = new Uint32Array(logits.length);
      }
      if (resolved.logprobs !== undefined) expectCount('sample', 'logprobs', resolved.logprobs, logits.length);
      const candidates = changesLogits ? processed(logits, history) : logits;
      const id =
        resolved.temperature > 0
          ? drawToken(candidates, random, scratch, 'sample')
          : indexOfLargest(candidates, 'sample');
      if (resolved.logprobs === undefined) return { id };
      const normalizer = normalizerOf(logits, 'sample');
      return {
        id,
        logprob: logits[id]! - normalizer.largest - normalizer.logOfRest,
        topLogprobs: mostLikely(logits, resolved.logprobs, normalizer, scratch),
      };
    },
    saveState: () => ({ seed, random: random.saveState() }),
    restoreState(state) {
      if (typeof state !== 'object' || state === null || !Number.isSafeInteger(state.seed) || state.seed < 0) {
        throw new ArgumentError({
          function: 'restoreState',
          argument: 'state',
          expected: 'what saveState returned',
          got: state,
        });
      }
      expectRandomState('restoreState', 'state.random', state.random);
      seed = state.seed;
      random.restoreState(state.random);
    },
  };
}
