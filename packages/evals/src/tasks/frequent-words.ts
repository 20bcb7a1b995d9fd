import { answerAllowance } from '../answer-allowance.ts';
import { checkTaskInput } from '../check-task-input.ts';
import { fitLength } from '../fit-length.ts';
import { randomOf } from '../random-of.ts';
import type { TaskInput, TaskSample } from '../sample.ts';

const publishedAllowance = 50;
const alpha = 2;
const noise = '...';
const numAsked = 3;
const letters = [...'abcdefghijklmnopqrstuvwxyz'];

/**
 * Frequent words: a text of invented words of six letters, the k-th most frequent of which makes up a share proportional to
 * k^-2. The most frequent is the noise `...`; the three behind it are asked for.
 *
 * The number of each word is its share rounded, not a draw, so that which are the most frequent is never in doubt.
 *
 * Source: RULER, arXiv:2404.06654; hsiehjackson/RULER, commit e40fae14. The wording is our own.
 *
 * @param input - length in tokens, seed, number of the sample, and the counter
 * @throws ArgumentError `ARGUMENT`; Phi3Error `EV_LENGTH` where a text with three clear winners does not fit
 * @example
 * const words = ({ prompt, answerPrefix }) => `${prompt} ${answerPrefix}`.split(/\s+/).length;
 * frequentWordsTask({ length: 400, seed: 1, index: 0, countTokens: words }).references.length; // => 3
 */
export function frequentWordsTask(input: TaskInput): TaskSample {
  checkTaskInput('frequentWordsTask', input);
  const random = randomOf(input.seed, 'fwe', input.length, input.index);
  const vocabularySize = Math.max(Math.floor(input.length / 50), numAsked + 2);
  const words = new Set<string>();
  while (words.size < vocabularySize - 1) {
    words.add(Array.from({ length: 6 }, () => random.pick(letters)).join(''));
  }
  const vocabulary = [noise, ...words];
  const references = vocabulary.slice(1, 1 + numAsked);
  const maxNewTokens = answerAllowance(input, publishedAllowance, references);
  let total = 0;
  for (let k = 1; k <= vocabularySize; k++) total += k ** -alpha;
  const build = (size: number, endings: readonly string[]) => {
    const entries = vocabulary.flatMap((word, rank) => new Array<string>(countAt(rank, size, total)).fill(word));
    const order = randomOf(input.seed, 'fwe-order', input.length, input.index, size);
    return { prompt: ask([...order.shuffled(entries), ...endings].join(' ')), answerPrefix: answerStart };
  };
  const { built, promptTokens } = fitLength(
    'frequentWordsTask',
    input.length - maxNewTokens,
    input.countTokens,
    build,
    {
      smallest: smallestSize(total),
      endings: [noise],
      topUps: 16,
    },
  );
  return {
    ...built,
    task: 'fwe',
    length: input.length,
    index: input.index,
    promptTokens,
    maxNewTokens,
    references,
    scoring: 'all',
  };
}

/** How often the word of some rank (from 0) appears among about `size` words; `total` is the sum of all shares. */
function countAt(rank: number, size: number, total: number): number {
  return Math.round((size * (rank + 1) ** -alpha) / total);
}

/** The fewest words of which those asked for all appear, each less often than the one before and more than the next. */
function smallestSize(total: number): number {
  for (let size = 1; ; size++) {
    const counts = Array.from({ length: numAsked + 2 }, (_, rank) => countAt(rank, size, total));
    if (counts.every((count, rank) => rank === 0 || count < counts[rank - 1]!)) return size;
  }
}

function ask(text: string): string {
  return `Read the coded text below and count how often each coded word appears. Pay no attention to the dots.\n${text}\nQuestion: Which three coded words appear most often, besides the dots?`;
}

const answerStart = '\nAnswer: The three coded words that appear most often are:';
