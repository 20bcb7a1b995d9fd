import { answerAllowance } from '../answer-allowance.ts';
import { checkTaskInput } from '../check-task-input.ts';
import { repeatedFiller } from '../filler.ts';
import { fitLength } from '../fit-length.ts';
import { haystackOf } from '../haystack.ts';
import { randomOf, type TaskRandom } from '../random-of.ts';
import type { TaskInput, TaskSample } from '../sample.ts';
import { shortWords } from '../words.ts';

const numHops = 4;
const publishedAllowance = 30;
const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'];

/**
 * Variable tracking: a chain `VAR A = 12345`, `VAR B = VAR A`, … of four hops scattered in filler, in order; all five names
 * are asked for. One worked example, with names of three letters, stands before the question.
 *
 * Source: RULER, arXiv:2404.06654; hsiehjackson/RULER, commit e40fae14. The wording is our own.
 *
 * @param input - length in tokens, seed, number of the sample, and the counter
 * @throws ArgumentError `ARGUMENT`; Phi3Error `EV_LENGTH` where example and question do not fit
 * @example
 * const words = ({ prompt, answerPrefix }) => `${prompt} ${answerPrefix}`.split(/\s+/).length;
 * variableTrackingTask({ length: 500, seed: 1, index: 0, countTokens: words }).references.length; // => 5
 */
export function variableTrackingTask(input: TaskInput): TaskSample {
  checkTaskInput('variableTrackingTask', input);
  const random = randomOf(input.seed, 'vt', input.length, input.index);
  const example = drawChain(3, random);
  const chain = drawChain(5, random);
  const examplePlaces = drawPlaces(random);
  const places = drawPlaces(random);
  const exampleText = `${ask(textOf(example, examplePlaces, 40), example.value)}${answerOf(example.value)} ${example.names.join(', ')}\n\n`;
  const maxNewTokens = answerAllowance(input, publishedAllowance, chain.names);
  const { built, promptTokens } = fitLength(
    'variableTrackingTask',
    input.length - maxNewTokens,
    input.countTokens,
    (size, endings) => ({
      prompt: `${exampleText}${ask(textOf(chain, places, size, endings), chain.value)}`,
      answerPrefix: answerOf(chain.value),
    }),
    { endings: shortWords, topUps: 3 },
  );
  return {
    ...built,
    task: 'vt',
    length: input.length,
    index: input.index,
    promptTokens,
    maxNewTokens,
    references: chain.names,
    scoring: 'all',
  };
}

interface Chain {
  readonly names: readonly string[];
  readonly value: number;
}

function drawChain(nameLength: number, random: TaskRandom): Chain {
  const names = new Set<string>();
  while (names.size < numHops + 1) {
    names.add(Array.from({ length: nameLength }, () => random.pick(letters)).join(''));
  }
  return { names: [...names], value: random.integer(10000, 99998) };
}

/** In order: a name is used after it was set. */
function drawPlaces(random: TaskRandom): number[] {
  return Array.from({ length: numHops + 1 }, () => random.integer(0, 10000) / 10000).sort((a, b) => a - b);
}

function textOf(
  { names, value }: Chain,
  places: readonly number[],
  numWords: number,
  endings: readonly string[] = [],
): string {
  const placed = (numSentences: number) =>
    names.map((name, i) => ({
      text: `VAR ${name} = ${i === 0 ? value : `VAR ${names[i - 1]}`}.`,
      afterSentences: Math.floor(places[i]! * numSentences),
    }));
  return haystackOf(repeatedFiller(), numWords, placed, endings);
}

function ask(text: string, value: number): string {
  return `Follow the assignments of variables hidden in the text below.\n${text}\nQuestion: Which variables have the value ${value}?`;
}

function answerOf(value: number): string {
  return `\nAnswer: In the text above, ${numHops + 1} variables have the value ${value}:`;
}
