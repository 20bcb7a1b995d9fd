import { Phi3Error } from '@phiblocks/tensor';
import type { TaskInput, TaskSample } from './sample.ts';
import { commonWordsTask } from './tasks/common-words.ts';
import { frequentWordsTask } from './tasks/frequent-words.ts';
import { type NeedleTaskName, needleTask, needleVariants } from './tasks/needle.ts';
import { passkeyTask } from './tasks/passkey.ts';
import { variableTrackingTask } from './tasks/variable-tracking.ts';

const needleNames = Object.keys(needleVariants) as NeedleTaskName[];

/** Every long-context task by its name; RULER's names for RULER's tasks. */
const tasks: ReadonlyMap<string, (input: TaskInput) => TaskSample> = new Map([
  ['passkey', passkeyTask],
  ...needleNames.map((name) => [name, (input: TaskInput) => needleTask(name, input)] as const),
  ['vt', variableTrackingTask],
  ['cwe', commonWordsTask],
  ['fwe', frequentWordsTask],
]);

/** The names of all long-context tasks. */
export const taskNames: readonly string[] = [...tasks.keys()];

/** Named lists of tasks. `needle` sweeps its needle evenly from the start of the haystack to its end. */
export const suites: Readonly<Record<'long-context' | 'passkey' | 'needle', readonly string[]>> = {
  'long-context': taskNames,
  passkey: ['passkey'],
  needle: ['niah_single_2'],
};

/**
 * The tasks of a suite, or the one task of that name.
 *
 * @throws Phi3Error `EV_SUITE` naming those there are
 * @example
 * tasksOfSuite('passkey'); // => ['passkey']
 */
export function tasksOfSuite(name: string): readonly string[] {
  if (Object.hasOwn(suites, name)) return suites[name as keyof typeof suites];
  if (tasks.has(name)) return [name];
  throw unknown('tasksOfSuite', name, [...Object.keys(suites), ...taskNames]);
}

/**
 * Makes one sample of a task.
 *
 * @param name - one of {@link taskNames}
 * @param input - length in tokens, seed, number of the sample, and the counter
 * @throws Phi3Error `EV_SUITE` for another name, `EV_LENGTH`; ArgumentError `ARGUMENT`
 * @example
 * const words = ({ prompt, answerPrefix }) => `${prompt} ${answerPrefix}`.split(/\s+/).length;
 * createTaskSample('vt', { length: 500, seed: 1, index: 0, countTokens: words }).task; // => 'vt'
 */
export function createTaskSample(name: string, input: TaskInput): TaskSample {
  const task = tasks.get(name);
  if (task === undefined) throw unknown('createTaskSample', name, taskNames);
  return task(input);
}

function unknown(functionName: string, got: unknown, names: readonly string[]): Phi3Error {
  return new Phi3Error({
    code: 'EV_SUITE',
    function: functionName,
    argument: 'name',
    expected: `one of ${names.join(', ')}`,
    got,
  });
}
