import { type Checkpoint, createLanguageModel } from '@phiblocks/runtime';
import {
  applyFrequencyPenalty,
  applyMinP,
  applyNoRepeatNgram,
  applyPresencePenalty,
  applyRepetitionPenalty,
  applyTemperature,
  applyTopK,
  applyTopP,
  applyTypicalP,
  softmax,
  type TokenHistory,
} from '@phiblocks/sampler';

/** The controls of the figure, by the names of the sampler's options. */
export interface SamplerSettings {
  readonly repetitionPenalty: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  readonly noRepeatNgramSize: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly typicalP: number;
}

/** Every option at the value that changes nothing. */
export const neutralSettings: SamplerSettings = {
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  noRepeatNgramSize: 0,
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  typicalP: 1,
};

/** The distribution after one step. */
export interface SamplerStep {
  readonly option: keyof SamplerSettings | undefined;
  readonly logits: Float32Array;
  readonly probabilities: Float32Array;
  /** Tokens that can still be drawn. */
  readonly numPossible: number;
  readonly entropyInBits: number;
  /** False where the step left every logit as it was. */
  readonly isChange: boolean;
}

/**
 * The distribution before any step, and after each of them in the order of the sampler. Temperature is above 0: at 0 the
 * sampler takes the largest logit and runs no step from temperature on.
 */
export function samplerSteps(logits: Float32Array, history: TokenHistory, settings: SamplerSettings): SamplerStep[] {
  const order: [keyof SamplerSettings, (logits: Float32Array) => Float32Array][] = [
    ['repetitionPenalty', (before) => applyRepetitionPenalty(before, history, settings.repetitionPenalty)],
    ['frequencyPenalty', (before) => applyFrequencyPenalty(before, history.generatedIds, settings.frequencyPenalty)],
    ['presencePenalty', (before) => applyPresencePenalty(before, history.generatedIds, settings.presencePenalty)],
    ['noRepeatNgramSize', (before) => applyNoRepeatNgram(before, history, settings.noRepeatNgramSize)],
    ['temperature', (before) => applyTemperature(before, settings.temperature)],
    ['topK', (before) => applyTopK(before, settings.topK)],
    ['topP', (before) => applyTopP(before, settings.topP)],
    ['minP', (before) => applyMinP(before, settings.minP)],
    ['typicalP', (before) => applyTypicalP(before, settings.typicalP)],
  ];
  const steps = [stepOf(undefined, logits, logits)];
  for (const [option, apply] of order) {
    const before = steps.at(-1)!.logits;
    steps.push(stepOf(option, apply(before), before));
  }
  return steps;
}

function stepOf(option: SamplerStep['option'], logits: Float32Array, before: Float32Array): SamplerStep {
  const probabilities = softmax(logits);
  return {
    option,
    logits,
    probabilities,
    numPossible: probabilities.filter((p) => p > 0).length,
    entropyInBits: probabilities.reduce((sum, p) => (p > 0 ? sum - p * Math.log2(p) : sum), 0),
    isChange: logits.some((logit, id) => logit !== before[id]),
  };
}

/** A next token to choose: what could come, and what came before. */
export interface NextToken {
  readonly text: string;
  /** Of each id. */
  readonly tokens: readonly string[];
  readonly logits: Float32Array;
  readonly history: TokenHistory;
}

/** Made up, to see every step at work: twelve words, two of which were said already, one of them twice. */
export const exampleNextToken: NextToken = {
  text: 'The sea is blue and the sky is blue and the hill is …',
  tokens: ['blue', 'green', 'grey', 'high', 'dark', 'the', 'steep', 'far', 'quiet', 'red', 'open', 'seven'],
  logits: Float32Array.of(3.2, 3, 2.4, 2.2, 1.6, 1.2, 1, 0.6, 0.2, -0.4, -1.2, -3),
  history: { promptIds: [5], generatedIds: [0, 5, 0] },
};

/**
 * A question whose answer nano-mini was not taught, in a spelling it was not taught either: several tokens are likely, and the
 * steps have something to do.
 */
export const exampleQuestion = { question: 'What color is the sky?', answer: 'The sky is' };

/**
 * The next token of a model in a chat of one question, cut to the likeliest ones. In the history those have their places in
 * that list, and every other token a negative number of its own, which penalties pass over.
 *
 * @param answer - how the answer begins, as if the model had written it
 * @param count - tokens to keep, the likeliest first
 */
export async function nextTokenOf(
  checkpoint: Checkpoint,
  question: string,
  answer: string,
  count: number,
): Promise<NextToken> {
  const model = await createLanguageModel(checkpoint, { backend: 'reference' });
  const session = model.createSession();
  try {
    const plain = { addSpecialTokens: false, parseSpecialTokens: false };
    const begun = answer === '' ? [] : Array.from(model.tokenizer!.encode(answer, plain));
    const prompt = Array.from(model.encodeChat([{ role: 'user', content: question }]));
    const { data } = await session.advance([...prompt, ...begun]);
    const ids = Array.from(data.keys())
      .sort((a, b) => data[b]! - data[a]!)
      .slice(0, count);
    const rankOf = (id: number): number => (ids.includes(id) ? ids.indexOf(id) : -1 - id);
    return {
      text: `${question} → ${answer} …`,
      tokens: ids.map((id) => model.tokenizer?.idToToken(id) ?? String(id)),
      logits: Float32Array.from(ids, (id) => data[id]!),
      history: { promptIds: prompt.map(rankOf), generatedIds: begun.map(rankOf) },
    };
  } finally {
    session.dispose();
    model.network.dispose();
  }
}
