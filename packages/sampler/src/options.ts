import { ArgumentError, expectKnownOptions } from '@phiblocks/tensor';
import { type BiasEntries, type LogitBias, parseLogitBias } from './apply-logit-bias.ts';
import { expectRepetitionPenalty } from './apply-repetition-penalty.ts';
import { expectShare } from './apply-top-p.ts';
import { expectIds, expectNumber, expectWholeNumber } from './checks.ts';
import { drawSeed } from './random.ts';

/** How a token is chosen. The names are those of Hugging Face's generation settings in camelCase; all are optional. */
export interface SamplerOptions {
  /** Added to the logits of some tokens, by id; -Infinity rules a token out. */
  logitBias?: LogitBias | undefined;
  /** Above 0; above 1 makes tokens of prompt and answer less likely. Default 1: none. */
  repetitionPenalty?: number | undefined;
  /** Taken from the logit of every token of the answer, times how often it occurs. Default 0. */
  frequencyPenalty?: number | undefined;
  /** Taken from the logit of every token of the answer, once. Default 0. */
  presencePenalty?: number | undefined;
  /** No sequence of so many tokens comes twice. Default 0: no rule. */
  noRepeatNgramSize?: number | undefined;
  /** End tokens are ruled out until the answer has so many tokens; needs `eosTokenIds`. Default 0. */
  minNewTokens?: number | undefined;
  /** The tokens that end an answer. */
  eosTokenIds?: ArrayLike<number> | undefined;
  /** 0, the default, takes the most likely token (greedy); above 0 draws by chance. */
  temperature?: number | undefined;
  /** How many of the most likely tokens stay. Default 0: all. */
  topK?: number | undefined;
  /** The most likely tokens that together reach this probability stay. Default 1: all. */
  topP?: number | undefined;
  /** Tokens below this share of the largest probability go. Default 0: none. */
  minP?: number | undefined;
  /** The tokens nearest to the expected surprise that together reach this probability stay. Default 1: all. */
  typicalP?: number | undefined;
  /** A whole number from 0 to 2^53 - 1. Drawn, and reported by the sampler, when absent. */
  seed?: number | undefined;
  /** Report the log-probability of the token and of so many of the most likely ones. Absent: report none. */
  logprobs?: number | undefined;
}

/** Options with every default filled in and every value checked. */
export interface ResolvedOptions {
  readonly logitBias: BiasEntries;
  readonly repetitionPenalty: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  readonly noRepeatNgramSize: number;
  readonly minNewTokens: number;
  readonly eosTokenIds: readonly number[];
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly typicalP: number;
  readonly seed: number;
  readonly logprobs: number | undefined;
}

/** The name of every option: what `createSampler` accepts. */
export const samplerOptionNames = [
  'logitBias',
  'repetitionPenalty',
  'frequencyPenalty',
  'presencePenalty',
  'noRepeatNgramSize',
  'minNewTokens',
  'eosTokenIds',
  'temperature',
  'topK',
  'topP',
  'minP',
  'typicalP',
  'seed',
  'logprobs',
] as const satisfies readonly (keyof SamplerOptions)[];

/** Checks options and fills in defaults. `undefined` counts as absent, anything else of the wrong kind is an error. */
export function resolveOptions(functionName: string, options: SamplerOptions): ResolvedOptions {
  if (typeof options !== 'object' || options === null) {
    throw new ArgumentError({ function: functionName, argument: 'options', expected: 'an object', got: options });
  }
  expectKnownOptions(functionName, options, samplerOptionNames);
  const {
    logitBias = {},
    repetitionPenalty = 1,
    frequencyPenalty = 0,
    presencePenalty = 0,
    noRepeatNgramSize = 0,
    minNewTokens = 0,
    eosTokenIds = [],
    temperature = 0,
    topK = 0,
    topP = 1,
    minP = 0,
    typicalP = 1,
    seed = drawSeed(),
    logprobs,
  } = options;
  expectRepetitionPenalty(functionName, 'repetitionPenalty', repetitionPenalty);
  expectNumber(functionName, 'frequencyPenalty', frequencyPenalty, 'a finite number', Number.isFinite);
  expectNumber(functionName, 'presencePenalty', presencePenalty, 'a finite number', Number.isFinite);
  expectWholeNumber(functionName, 'noRepeatNgramSize', noRepeatNgramSize);
  expectWholeNumber(functionName, 'minNewTokens', minNewTokens);
  expectIds(functionName, 'eosTokenIds', eosTokenIds);
  for (let i = 0; i < eosTokenIds.length; i++) expectWholeNumber(functionName, `eosTokenIds[${i}]`, eosTokenIds[i]);
  if (minNewTokens > 0 && eosTokenIds.length === 0) {
    throw new ArgumentError({
      function: functionName,
      argument: 'eosTokenIds',
      expected: 'at least one id with minNewTokens',
      got: eosTokenIds,
    });
  }
  expectNumber(functionName, 'temperature', temperature, 'a number from 0 up', (t) => t >= 0 && t < Infinity);
  expectWholeNumber(functionName, 'topK', topK);
  expectShare(functionName, 'topP', topP);
  expectNumber(functionName, 'minP', minP, 'a number from 0 to 1', (share) => share >= 0 && share <= 1);
  expectShare(functionName, 'typicalP', typicalP);
  if (options.temperature === undefined && (topK > 0 || topP < 1 || minP > 0 || typicalP < 1)) {
    // Greedy choice would ignore the filter in silence. Who says temperature 0 has chosen; who says nothing may expect 1.
    throw new ArgumentError({
      function: functionName,
      argument: 'temperature',
      expected: 'a number with topK, topP, minP or typicalP, which only matter when it is above 0',
      got: undefined,
    });
  }
  expectWholeNumber(functionName, 'seed', seed);
  if (logprobs !== undefined) expectWholeNumber(functionName, 'logprobs', logprobs);
  return {
    logitBias: parseLogitBias(functionName, 'logitBias', logitBias),
    repetitionPenalty,
    frequencyPenalty,
    presencePenalty,
    noRepeatNgramSize,
    minNewTokens,
    eosTokenIds: Array.from(eosTokenIds),
    temperature,
    topK,
    topP,
    minP,
    typicalP,
    seed,
    logprobs,
  };
}
