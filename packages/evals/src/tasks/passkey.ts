import { checkTaskInput } from '../check-task-input.ts';
import { repeatedSentences } from '../filler.ts';
import { fitLength } from '../fit-length.ts';
import { randomOf } from '../random-of.ts';
import type { TaskInput, TaskSample } from '../sample.ts';

/**
 * Passkey retrieval as in the LongRoPE repository: a number of 1 to 50000, said twice in one line somewhere in five
 * sentences about grass, sky and sun that repeat, cut by characters. At most 10 new tokens, in which the first whole number
 * must be the key.
 *
 * It differs in what is measured: the published script takes 3.65 characters for a token and logs what that gives; here the
 * prompt and the answer have `length` tokens by count. The words of its task description are our own.
 *
 * Source: microsoft/LongRoPE, commit c9e56aa5; Mohtashami and Jaggi, arXiv:2305.16300 §4.2.
 *
 * @param input - length in tokens, seed, number of the sample, and the counter
 * @returns the prompt, within 1 % of the length where a character is less than that
 * @throws ArgumentError `ARGUMENT`; Phi3Error `EV_LENGTH` where the question does not fit
 * @example
 * const words = ({ prompt, answerPrefix }) => `${prompt} ${answerPrefix}`.split(/\s+/).length;
 * const sample = passkeyTask({ length: 400, seed: 1, index: 0, countTokens: words });
 * sample.promptTokens + sample.maxNewTokens; // => 400
 */
export function passkeyTask(input: TaskInput): TaskSample {
  checkTaskInput('passkeyTask', input);
  const random = randomOf(input.seed, 'passkey', input.length, input.index);
  const key = String(random.integer(1, 50000));
  const drawn = random.integer(0, 10000) / 100;
  const depthPercent = input.depthPercent ?? drawn;
  const maxNewTokens = input.maxNewTokens ?? 10;
  const { built, promptTokens } = fitLength('passkeyTask', input.length - maxNewTokens, input.countTokens, (size) =>
    passkeyPrompt(key, size, depthPercent),
  );
  return {
    ...built,
    task: 'passkey',
    length: input.length,
    index: input.index,
    promptTokens,
    maxNewTokens,
    references: [key],
    scoring: 'first-integer',
    depthPercent,
  };
}

const description =
  'There is important information hidden inside a lot of irrelevant text. Find it and remember it. I will ask you about it.';

function passkeyPrompt(key: string, numCharacters: number, depthPercent: number) {
  const unit = `${repeatedSentences.join(' ')} `;
  const filler = unit.repeat(Math.ceil(numCharacters / unit.length)).slice(0, numCharacters);
  const cut = Math.round((numCharacters * depthPercent) / 100);
  return {
    prompt: [
      description,
      filler.slice(0, cut),
      `The pass key is ${key}. Remember it. ${key} is the pass key.`,
      filler.slice(cut),
      'What is the pass key?',
    ].join('\n'),
    answerPrefix: ' The pass key is',
  };
}
