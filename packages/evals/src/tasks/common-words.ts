import { answerAllowance } from '../answer-allowance.ts';
import { checkTaskInput } from '../check-task-input.ts';
import { fitLength } from '../fit-length.ts';
import { randomOf } from '../random-of.ts';
import type { TaskInput, TaskSample } from '../sample.ts';
import { adjectives, nouns } from '../words.ts';

const publishedAllowance = 120;
const numCommon = 10;

/** How often common and other words appear, in the question and in the worked example before it. */
interface Frequencies {
  readonly common: number;
  readonly others: number;
  readonly exampleWords: number;
  readonly exampleCommon: number;
  readonly exampleOthers: number;
}
const published: Frequencies = { common: 30, others: 3, exampleWords: 40, exampleCommon: 10, exampleOthers: 3 };
// RULER's own reduction for lengths below those it publishes.
const reduced: Frequencies = { common: 6, others: 1, exampleWords: 20, exampleCommon: 3, exampleOthers: 1 };

/**
 * Common words: a numbered list in which ten words appear more often than the others; those ten are asked for. One worked
 * example stands first. The published frequencies, 30 and 3, hold from 4,096 tokens on; below, RULER's reduced ones, 6 and 1.
 *
 * Source: RULER, arXiv:2404.06654; hsiehjackson/RULER, commit e40fae14. The wording and the words are our own.
 *
 * @param input - length in tokens, seed, number of the sample, and the counter
 * @throws ArgumentError `ARGUMENT`; Phi3Error `EV_LENGTH` where example and question do not fit
 * @example
 * const words = ({ prompt, answerPrefix }) => `${prompt} ${answerPrefix}`.split(/\s+/).length;
 * commonWordsTask({ length: 800, seed: 1, index: 0, countTokens: words }).references.length; // => 10
 */
export function commonWordsTask(input: TaskInput): TaskSample {
  checkTaskInput('commonWordsTask', input);
  const random = randomOf(input.seed, 'cwe', input.length, input.index);
  const frequencies = input.length >= 4096 ? published : reduced;
  const plain = random.shuffled([...new Set([...nouns, ...adjectives])]);
  const common = plain.slice(0, numCommon);
  const exampleCommon = plain.slice(numCommon, 2 * numCommon);
  const rest = plain.slice(2 * numCommon);
  // Long lists need more words than there are plain ones: two joined, of which there are enough for 2^24 tokens.
  const joined = random.shuffled(adjectives).flatMap((first) => nouns.map((second) => first + second));
  const otherAt = (index: number): string =>
    rest[index] ?? joined[index - rest.length] ?? `${joined[index % joined.length]}s`;

  const numExampleOthers = frequencies.exampleWords - numCommon;
  const exampleEntries = random.shuffled([
    ...repeat(exampleCommon, frequencies.exampleCommon),
    ...repeat(
      Array.from({ length: numExampleOthers }, (_, i) => otherAt(i)),
      frequencies.exampleOthers,
    ),
  ]);
  const example = `${ask(exampleEntries)}${answerStart} ${numbered(exampleCommon)}\n\n`;

  const maxNewTokens = answerAllowance(
    input,
    publishedAllowance,
    common.map((word, i) => `${i + 1}. ${word}`),
  );
  // Every entry of the others is one unit, three of a word in a row; an order for each size, which the seed decides.
  const build = (size: number, endings: readonly string[]) => {
    const others = Array.from({ length: size }, (_, i) =>
      otherAt(numExampleOthers + Math.floor(i / frequencies.others)),
    );
    const entries = [...repeat(common, frequencies.common), ...others];
    const order = randomOf(input.seed, 'cwe-order', input.length, input.index, size);
    return { prompt: `${example}${ask([...order.shuffled(entries), ...endings])}`, answerPrefix: answerStart };
  };
  const spare = joined.slice(-400);
  const { built, promptTokens } = fitLength('commonWordsTask', input.length - maxNewTokens, input.countTokens, build, {
    // One more entry, of a word that takes as many tokens as are left.
    endings: [...rest.slice(-40), ...spare.slice(-40)],
    topUps: 1,
  });
  return {
    ...built,
    task: 'cwe',
    length: input.length,
    index: input.index,
    promptTokens,
    maxNewTokens,
    references: common,
    scoring: 'all',
  };
}

function repeat(words: readonly string[], times: number): string[] {
  return words.flatMap((word) => new Array<string>(times).fill(word));
}

function numbered(words: readonly string[]): string {
  return words.map((word, i) => `${i + 1}. ${word}`).join(' ');
}

function ask(entries: readonly string[]): string {
  return `Below is a numbered list of words, some of which appear more often than the others. Memorize those.\n${numbered(entries)}\nQuestion: Which ${numCommon} words appear most often in the list?`;
}

const answerStart = `\nAnswer: The ${numCommon} words that appear most often are:`;
