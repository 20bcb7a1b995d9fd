import { ArgumentError, expectKnownOptions } from '@phiblocks/tensor';
import type { TaskInput } from './sample.ts';

const names = ['length', 'seed', 'index', 'countTokens', 'maxNewTokens', 'depthPercent'];
const longest = 2 ** 24;

/** Checks what a caller hands to a task. */
export function checkTaskInput(functionName: string, input: TaskInput): void {
  expectKnownOptions(functionName, input, names);
  const expect = (argument: string, isFine: boolean, expected: string, got: unknown): void => {
    if (!isFine) throw new ArgumentError({ function: functionName, argument: `input.${argument}`, expected, got });
  };
  const { length, seed, index, countTokens, maxNewTokens, depthPercent } = input;
  expect(
    'length',
    Number.isInteger(length) && length >= 1 && length <= longest,
    'a whole number from 1 to 2^24',
    length,
  );
  expect('seed', Number.isSafeInteger(seed) && seed >= 0, 'a whole number from 0 to 2^53 - 1', seed);
  expect('index', Number.isSafeInteger(index) && index >= 0, 'a whole number from 0', index);
  expect('countTokens', typeof countTokens === 'function', 'a function', countTokens);
  if (maxNewTokens !== undefined) {
    expect('maxNewTokens', Number.isInteger(maxNewTokens) && maxNewTokens >= 1, 'a whole number from 1', maxNewTokens);
  }
  if (depthPercent !== undefined) {
    expect('depthPercent', depthPercent >= 0 && depthPercent <= 100, 'a number from 0 to 100', depthPercent);
  }
}
