import type { LanguageModel } from '@phiblocks/runtime';
import { createProgress } from '../terminal.ts';
import { textWindows } from './text-windows.ts';

/** What a model thinks of a text: logits at every position that a token follows. */
export interface Predictions {
  readonly windows: readonly { readonly ids: Int32Array; readonly logits: Float32Array }[];
  readonly vocabSize: number;
  /** Tokens run, and tokens in the text: of a long text only the beginning is used. */
  readonly numTokens: number;
  readonly tokensInText: number;
}

/** How two models differ on a text. */
export interface Comparison {
  /** exp of the mean negative log likelihood of each token after those before it. */
  readonly perplexity: number;
  /** Mean Kullback-Leibler divergence of the distributions from those of the reference, in nats. */
  readonly klDivergence: number;
  /** Share of positions at which both find the same token likeliest. */
  readonly top1Agreement: number;
}

/** The logits of the reference stay in memory: 2,048 rows of 32,064 are 263 MB. */
const mostTokens = 2048;

/**
 * Runs a text through a model.
 *
 * @param text - or earlier predictions, whose ids are run, so that both models see the same
 */
export async function predict(
  model: LanguageModel,
  text: string | Predictions,
  signal: AbortSignal,
): Promise<Predictions> {
  const { windows, numTokens, tokensInText } =
    typeof text === 'string'
      ? textWindows(model, text, 'report', mostTokens)
      : { ...text, windows: text.windows.map(({ ids }) => ids) };
  const progress = createProgress('Measuring');
  const predictions: { ids: Int32Array; logits: Float32Array }[] = [];
  let done = 0;
  try {
    for (const ids of windows) {
      const session = model.createSession();
      try {
        const { data } = await session.advance(ids, { logits: 'all', signal });
        predictions.push({ ids, logits: data.slice(0, (ids.length - 1) * model.config.vocabSize) });
      } finally {
        session.dispose();
      }
      done += ids.length;
      progress.update(done, numTokens);
    }
  } finally {
    progress.end();
  }
  return { windows: predictions, vocabSize: model.config.vocabSize, numTokens, tokensInText };
}

/** Measures predictions against those of the reference on the same ids. */
export function compare(reference: Predictions, candidate: Predictions): Comparison {
  const { vocabSize } = reference;
  let positions = 0;
  let negativeLogLikelihood = 0;
  let divergence = 0;
  let agreements = 0;
  for (const [index, { ids, logits }] of candidate.windows.entries()) {
    const expected = reference.windows[index]!.logits;
    for (let position = 0; position + 1 < ids.length; position++) {
      const at = position * vocabSize;
      const [expectedNorm, expectedTop] = logSumExp(expected, at, vocabSize);
      const [norm, top] = logSumExp(logits, at, vocabSize);
      negativeLogLikelihood += norm - logits[at + ids[position + 1]!]!;
      for (let i = at; i < at + vocabSize; i++) {
        const logP = expected[i]! - expectedNorm;
        const p = Math.exp(logP);
        if (p > 0) divergence += p * (logP - (logits[i]! - norm));
      }
      if (top === expectedTop) agreements++;
      positions++;
    }
  }
  return {
    perplexity: Math.exp(negativeLogLikelihood / positions),
    klDivergence: Math.max(0, divergence / positions), // rounding can make it −1e-17
    top1Agreement: agreements / positions,
  };
}

function logSumExp(logits: Float32Array, at: number, length: number): [logSum: number, top: number] {
  let top = 0;
  for (let i = 1; i < length; i++) if (logits[at + i]! > logits[at + top]!) top = i;
  const largest = logits[at + top]!;
  let sum = 0;
  for (let i = at; i < at + length; i++) sum += Math.exp(logits[i]! - largest);
  return [largest + Math.log(sum), top];
}

/** What `--report` reads where no text is given. */
export const builtInText = `Once upon a time, there was a little girl named Mia. She lived in a small house near the forest \
with her mom and her dog Max. One sunny day, Mia and Max went for a walk. They saw a big tree with red apples. Mia wanted an \
apple, but the tree was too tall. "What can we do, Max?" she asked. Max barked and ran around the tree. Then a kind bird \
came down from the sky. "I can help you," said the bird. The bird picked the biggest apple and gave it to Mia. Mia was very \
happy. She shared the apple with Max and the bird, and they all sat in the grass together. The sun was warm and the wind was \
soft. When the sky got dark, Mia said goodbye to her new friend and walked home. Her mom gave her a big hug. "Did you have a \
good day?" she asked. "Yes," said Mia. "I made a friend today." From that day on, the bird came to the window every morning, \
and Mia always had a bit of bread for it.`;
