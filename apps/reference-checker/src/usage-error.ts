import { InvalidArgumentError } from 'commander';

/** A command line that cannot be meant: exit status 2. */
export class UsageError extends Error {}

/** A whole number within limits, for commander's option parsing. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^-?\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(
        most === Number.MAX_SAFE_INTEGER
          ? `Expected a whole number from ${least} up.`
          : `Expected a whole number from ${least} to ${most}.`,
      );
    }
    return value;
  };
}
