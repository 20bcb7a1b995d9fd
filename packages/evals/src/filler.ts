import type { TaskRandom } from './random-of.ts';
import { adjectives, nouns } from './words.ts';

/** The five sentences that passkey tests are hidden in, as in the LongRoPE repository. */
export const repeatedSentences: readonly string[] = [
  'The grass is green.',
  'The sky is blue.',
  'The sun is yellow.',
  'Here we go.',
  'There and back again.',
];

/** Sentences in an endless row. */
export type Sentences = (index: number) => string;

/** The five sentences again and again. */
export function repeatedFiller(): Sentences {
  return (index) => repeatedSentences[index % repeatedSentences.length]!;
}

/**
 * Sentences like those of an essay, without numbers, put together from parts that were written for this project. A random
 * source gives them in order; what was given once stays.
 */
export function essayFiller(random: TaskRandom): Sentences {
  const given: string[] = [];
  let subject = random.pick(nouns);
  return (index) => {
    while (given.length <= index) {
      // A few sentences stay with one subject, as a paragraph does.
      if (random.integer(0, 4) === 0) subject = random.pick(nouns);
      given.push(essaySentence(random, subject));
    }
    return given[index]!;
  };
}

const openings = [
  'In most cases',
  'After a while',
  'At first',
  'To be fair',
  'In the end',
  'On the other hand',
  'As a rule',
  'Even so',
  'From a distance',
  'For a long time',
  'In a way',
  'Now and then',
];
const people = ['people', 'children', 'the neighbors', 'most writers', 'old friends', 'the workers', 'travelers', 'we'];
const verbs = [
  'remember',
  'describe',
  'look for',
  'talk about',
  'build',
  'paint',
  'share',
  'forget',
  'protect',
  'follow',
];
const reasons = [
  'it is worth the time',
  'nobody else would do it',
  'the answer is never simple',
  'good work takes patience',
  'they learned it early in life',
  'small things add up',
  'every mistake teaches something',
  'the old way still works',
];
const places = ['near the', 'behind the', 'beside the', 'far from the', 'on the way to the', 'in the shade of the'];

function essaySentence(random: TaskRandom, subject: string): string {
  const thing = (): string => `${random.pick(adjectives)} ${random.pick(nouns)}`;
  switch (random.integer(0, 5)) {
    case 0:
      return `${random.pick(openings)}, ${random.pick(people)} ${random.pick(verbs)} the ${subject} because ${random.pick(reasons)}.`;
    case 1:
      return `The ${random.pick(adjectives)} ${subject} stands ${random.pick(places)} ${thing()}.`;
    case 2:
      return `What makes a ${subject} ${random.pick(adjectives)} is not the ${thing()} but how ${random.pick(people)} ${random.pick(verbs)} it.`;
    case 3:
      return `If ${random.pick(people)} ${random.pick(verbs)} a ${thing()}, the ${subject} becomes more ${random.pick(adjectives)}.`;
    case 4:
      return `${random.pick(openings)}, there was a ${thing()} ${random.pick(places)} ${subject}.`;
    default:
      return `It is easy to ${random.pick(verbs)} the ${subject}, and hard to ${random.pick(verbs)} the ${thing()}.`;
  }
}
