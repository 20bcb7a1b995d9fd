import { ArgumentError } from '@phiblocks/tensor';
import { answerAllowance } from '../answer-allowance.ts';
import { checkTaskInput } from '../check-task-input.ts';
import { essayFiller, repeatedFiller, type Sentences } from '../filler.ts';
import { fitLength } from '../fit-length.ts';
import { haystackOf } from '../haystack.ts';
import { randomOf, type TaskRandom } from '../random-of.ts';
import type { TaskInput, TaskSample } from '../sample.ts';
import { adjectives, nouns, shortWords } from '../words.ts';

/** What hides the needles, what they are about, and how many there are. */
export interface NeedleVariant {
  readonly haystack: 'repeated' | 'essay' | 'needles';
  readonly key: 'word' | 'uuid';
  readonly value: 'number' | 'uuid';
  readonly numKeys: number;
  readonly valuesPerKey: number;
  readonly keysAsked: number;
}

const one = { numKeys: 1, valuesPerKey: 1, keysAsked: 1 } as const;

/** The eight rows of RULER's table, by their names there. */
export const needleVariants = {
  niah_single_1: { haystack: 'repeated', key: 'word', value: 'number', ...one },
  niah_single_2: { haystack: 'essay', key: 'word', value: 'number', ...one },
  niah_single_3: { haystack: 'essay', key: 'word', value: 'uuid', ...one },
  niah_multikey_1: { haystack: 'essay', key: 'word', value: 'number', ...one, numKeys: 4 },
  niah_multikey_2: { haystack: 'needles', key: 'word', value: 'number', ...one },
  niah_multikey_3: { haystack: 'needles', key: 'uuid', value: 'uuid', ...one },
  niah_multivalue: { haystack: 'essay', key: 'word', value: 'number', ...one, valuesPerKey: 4 },
  niah_multiquery: { haystack: 'essay', key: 'word', value: 'number', ...one, numKeys: 4, keysAsked: 4 },
} as const satisfies Record<string, NeedleVariant>;

export type NeedleTaskName = keyof typeof needleVariants;

/** RULER's depths in percent: 40 of them, evenly from 0 to 100. */
const depths: readonly number[] = Array.from({ length: 40 }, (_, i) => Math.round((i * 100) / 39));

const publishedAllowance = 128;

/**
 * A needle in a haystack: sentences "One of the special magic numbers for KEY is: VALUE." hidden in a long text, and a
 * question for some of them.
 *
 * The haystack `essay` is put together from a seed and not Paul Graham's; the wording around the needles is our own. Scores
 * are therefore not those of RULER's published table.
 *
 * Source: RULER, arXiv:2404.06654; hsiehjackson/RULER, commit e40fae14.
 *
 * @param name - a row of {@link needleVariants}
 * @param input - length in tokens, seed, number of the sample, and the counter
 * @returns the prompt, whose tokens and those of the answer are within 1 % of the length where a short word is less than that
 * @throws ArgumentError `ARGUMENT`; Phi3Error `EV_LENGTH` where needles and question do not fit
 * @example
 * const words = ({ prompt, answerPrefix }) => `${prompt} ${answerPrefix}`.split(/\s+/).length;
 * const sample = needleTask('niah_multiquery', { length: 1000, seed: 1, index: 0, countTokens: words });
 * sample.references.length; // => 4
 */
export function needleTask(name: NeedleTaskName, input: TaskInput): TaskSample {
  if (!Object.hasOwn(needleVariants, name)) {
    const expected = `one of ${Object.keys(needleVariants).join(', ')}`;
    throw new ArgumentError({ function: 'needleTask', argument: 'name', expected, got: name });
  }
  checkTaskInput('needleTask', input);
  const variant: NeedleVariant = needleVariants[name];
  const random = randomOf(input.seed, name, input.length, input.index);
  const keys = distinct(variant.numKeys, () => drawKey(variant, random));
  const needles = keys.map((key) => ({
    key,
    values: distinct(variant.valuesPerKey, () => drawValue(variant, random)),
  }));
  const asked = random.sample(needles, variant.keysAsked);
  const references = asked.flatMap(({ values }) => values);
  const sentences = random.shuffled(
    needles.flatMap(({ key, values }) => values.map((value) => needleSentence(variant, key, value))),
  );
  const places = placesOf(variant, sentences.length, random, input.depthPercent);
  const filler = fillerOf(variant, random, keys);

  const maxNewTokens = answerAllowance(input, publishedAllowance, references);
  const budget = input.length - maxNewTokens;
  const build = (size: number, endings: readonly string[]) => {
    const placed = (numSentences: number) =>
      sentences.map((text, i) => ({ text, afterSentences: Math.floor(places[i]! * numSentences) }));
    // A haystack of needles is measured in sentences: a needle cut in half would be a false one.
    const numWords = variant.haystack === 'needles' ? size * needleSentence(variant, '', '').split(' ').length : size;
    return askFor(
      variant,
      asked.map(({ key }) => key),
      haystackOf(filler, numWords, placed, endings),
    );
  };
  const { built, promptTokens } = fitLength(name, budget, input.countTokens, build, {
    endings: [...fillerWords, ...shortWords],
    topUps: variant.haystack === 'needles' ? 8 : 3,
  });
  return {
    ...built,
    task: name,
    length: input.length,
    index: input.index,
    promptTokens,
    maxNewTokens,
    references,
    scoring: 'all',
    depthPercent: sentences.length === 1 ? Math.round(places[0]! * 10000) / 100 : undefined,
  };
}

/** What fills the rest where the next needle is too long. */
const fillerWords = ['The grass is green.', 'The sky is blue, and the sun is yellow.', 'Here we go.'];

function needleSentence(variant: NeedleVariant, key: string, value: string): string {
  return `One of the special magic ${kindOf(variant)} for ${key} is: ${value}.`;
}

function kindOf({ value }: NeedleVariant): 'numbers' | 'uuids' {
  return value === 'number' ? 'numbers' : 'uuids';
}

function askFor(variant: NeedleVariant, keys: readonly string[], haystack: string) {
  const kind = kindOf(variant);
  const query = keys.length === 1 ? keys[0]! : `${keys.slice(0, -1).join(', ')}, and ${keys.at(-1)}`;
  const isSingular = keys.length * variant.valuesPerKey === 1;
  const [hidden, question, answer] = isSingular
    ? [
        `A special magic ${kind.slice(0, -1)} is hidden in the text below. Memorize it: I will ask you about it.`,
        `What is the special magic ${kind.slice(0, -1)} for ${query} that the text mentions?`,
        ` The special magic ${kind.slice(0, -1)} for ${query} that the text mentions is`,
      ]
    : [
        `Some special magic ${kind} are hidden in the text below. Memorize them: I will ask you about them.`,
        `What are all the special magic ${kind} for ${query} that the text mentions?`,
        ` The special magic ${kind} for ${query} that the text mentions are`,
      ];
  return { prompt: `${hidden}\n${haystack}\n${question}`, answerPrefix: answer };
}

function drawKey(variant: NeedleVariant, random: TaskRandom): string {
  return variant.key === 'uuid' ? drawUuid(random) : `${random.pick(adjectives)}-${random.pick(nouns)}`;
}

function drawValue(variant: NeedleVariant, random: TaskRandom): string {
  return variant.value === 'uuid' ? drawUuid(random) : String(random.integer(1_000_000, 9_999_999));
}

/** Version 4: 122 random bits, the version and the variant in their places. */
function drawUuid(random: TaskRandom): string {
  return 'xxxxxxxx-xxxx-4xxx-vxxx-xxxxxxxxxxxx'
    .replace(/x/g, () => random.integer(0, 15).toString(16))
    .replace('v', random.pick(['8', '9', 'a', 'b']));
}

function distinct(count: number, draw: () => string, taken: ReadonlySet<string> = new Set()): string[] {
  const drawn = new Set<string>();
  while (drawn.size < count) {
    const next = draw();
    if (!taken.has(next)) drawn.add(next);
  }
  return [...drawn];
}

/** Where needles go, as parts of the haystack: RULER's depths in essays, anywhere in the other haystacks. */
function placesOf(
  { haystack }: NeedleVariant,
  count: number,
  random: TaskRandom,
  depthPercent: number | undefined,
): number[] {
  const drawn =
    haystack === 'essay'
      ? random.sample(depths, count).map((depth) => depth / 100)
      : Array.from({ length: count }, () => random.integer(0, 10000) / 10000);
  return depthPercent !== undefined && count === 1 ? [depthPercent / 100] : drawn;
}

function fillerOf(variant: NeedleVariant, random: TaskRandom, keys: readonly string[]): Sentences {
  if (variant.haystack === 'repeated') return repeatedFiller();
  if (variant.haystack === 'essay') return essayFiller(random);
  const taken = new Set(keys);
  const given: string[] = [];
  return (index) => {
    while (given.length <= index) {
      const [key] = distinct(1, () => drawKey(variant, random), taken);
      taken.add(key!);
      given.push(needleSentence(variant, key!, drawValue(variant, random)));
    }
    return given[index]!;
  };
}
