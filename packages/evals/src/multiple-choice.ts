import { ArgumentError, Phi3Error } from '@phiblocks/tensor';
import type { EvaluatedModel } from './evaluated-model.ts';

/** A question with its possible answers. */
export interface ChoiceQuestion {
  /** What tells it apart; its number among the questions when absent. */
  readonly id?: string | undefined;
  /** The text before the answers, as the model reads it. Answers stand behind it as they are. */
  readonly prompt: string;
  /** For example `" Paris"`, with the space in front. */
  readonly choices: readonly string[];
  /** The right one, from 0. */
  readonly answer: number;
}

/** Log-likelihoods of the choices of one question, and what each way to compare them picks, from 0. */
export interface ChoiceScores {
  /** Natural log of the probability of each choice after the prompt. */
  readonly logLikelihoods: readonly number[];
  readonly tokens: readonly number[];
  /** UTF-8 bytes of each choice. */
  readonly bytes: readonly number[];
  /** By the sum; by the sum over tokens; by the sum over bytes. The first of equals. */
  readonly picked: { readonly sum: number; readonly perToken: number; readonly perByte: number };
}

/**
 * Scores the choices of a question by log-likelihood: the tokens that prompt and choice together have behind the longest
 * common beginning with the tokens of the prompt alone.
 *
 * @param model - from `evaluatedModel`
 * @param question - prompt, choices and the right one
 * @param signal - honoured between layers
 * @throws ArgumentError `ARGUMENT` for a question that is none; Phi3Error `CTX_OVERFLOW`
 * @example
 * // A model of bytes that likes an "a" best.
 * const model = {
 *   encode: (text) => Int32Array.from(new TextEncoder().encode(`>${text}`)),
 *   logProbabilities: async (ids, from) => Float64Array.from(ids.subarray(from), (id) => (id === 97 ? -1 : -2)),
 * };
 * const scores = await scoreChoices(model, { prompt: 'Say', choices: [' aaa', ' b'], answer: 0 });
 * scores.logLikelihoods; // => [-5, -4]
 * scores.picked; // => { sum: 1, perToken: 0, perByte: 0 }
 */
export async function scoreChoices(
  model: Pick<EvaluatedModel, 'encode' | 'logProbabilities'>,
  question: ChoiceQuestion,
  signal?: AbortSignal,
): Promise<ChoiceScores> {
  const fault = faultOf(question);
  if (fault) throw new ArgumentError({ function: 'scoreChoices', ...fault });
  const promptIds = model.encode(question.prompt);
  const logLikelihoods: number[] = [];
  const tokens: number[] = [];
  const bytes: number[] = [];
  for (const choice of question.choices) {
    const ids = model.encode(question.prompt + choice);
    let from = 0;
    while (from < promptIds.length && from < ids.length - 1 && promptIds[from] === ids[from]) from++;
    from = Math.max(from, 1); // the very first token has no probability
    let sum = 0;
    for (const one of await model.logProbabilities(ids, from, signal)) sum += one;
    logLikelihoods.push(sum);
    tokens.push(ids.length - from);
    bytes.push(new TextEncoder().encode(choice).length);
  }
  const best = (over: readonly number[]): number => {
    let at = 0;
    for (let i = 1; i < over.length; i++) if (over[i]! > over[at]!) at = i;
    return at;
  };
  return {
    logLikelihoods,
    tokens,
    bytes,
    picked: {
      sum: best(logLikelihoods),
      perToken: best(logLikelihoods.map((sum, i) => sum / tokens[i]!)),
      perByte: best(logLikelihoods.map((sum, i) => sum / bytes[i]!)),
    },
  };
}

const mostChoices = 1000;
const longestFile = 256 * 2 ** 20;

/**
 * Reads questions from JSON lines: `{"prompt": "…", "choices": ["…", "…"], "answer": 0}`, with an `id` if wanted. Empty lines
 * are skipped; another field is an error, so that a misspelt one is not overlooked.
 *
 * @param text - the file
 * @param file - its name, for messages
 * @throws Phi3Error `EV_QUESTIONS` with the line
 * @example
 * parseChoiceQuestions('{"prompt":"1 + 1 =","choices":[" 2"," 3"],"answer":0}').length; // => 1
 */
export function parseChoiceQuestions(text: string, file = 'questions'): ChoiceQuestion[] {
  const fail = (line: number, expected: string, got?: unknown): never => {
    throw new Phi3Error({
      code: 'EV_QUESTIONS',
      function: 'parseChoiceQuestions',
      expected,
      got,
      where: { file, line },
    });
  };
  if (text.length > longestFile) fail(1, `at most ${longestFile} characters`, text.length);
  const questions: ChoiceQuestion[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      fail(index + 1, 'one JSON object', line);
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) fail(index + 1, 'one JSON object', line);
    const { id, prompt, choices, answer, ...others } = value as Record<string, unknown>;
    const [unknown] = Object.keys(others);
    if (unknown !== undefined) fail(index + 1, 'the fields id, prompt, choices and answer', unknown);
    const question = { id, prompt, choices, answer } as ChoiceQuestion;
    const fault = faultOf(question);
    if (fault) fail(index + 1, `${fault.argument}: ${fault.expected}`, fault.got);
    questions.push(question);
  }
  if (questions.length === 0) fail(1, 'at least one question', 0);
  return questions;
}

function faultOf(question: ChoiceQuestion): { argument: string; expected: string; got: unknown } | undefined {
  const { id, prompt, choices, answer } = question;
  if (id !== undefined && typeof id !== 'string') return { argument: 'id', expected: 'a text', got: id };
  if (typeof prompt !== 'string') return { argument: 'prompt', expected: 'a text', got: prompt };
  const isList = Array.isArray(choices) && choices.length >= 2 && choices.length <= mostChoices;
  if (!isList) return { argument: 'choices', expected: `2 to ${mostChoices} texts`, got: choices };
  for (const [i, choice] of choices.entries()) {
    if (typeof choice !== 'string' || choice === '') {
      return { argument: `choices[${i}]`, expected: 'a text that is not empty', got: choice };
    }
  }
  const isAnswer = Number.isInteger(answer) && answer >= 0 && answer < choices.length;
  return isAnswer ? undefined : { argument: 'answer', expected: `a whole number below ${choices.length}`, got: answer };
}
