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

/** A finite number for which `accepts` holds. */
export function number(description: string, accepts: (value: number) => boolean): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value) || !accepts(value)) {
      throw new InvalidArgumentError(`Expected ${description}.`);
    }
    return value;
  };
}

/** Token ids separated by commas, `1,2,3`. */
export function tokenIds(text: string): number[] {
  const parts = text.split(',').map((part) => part.trim());
  if (!parts.every((part) => /^\d{1,9}$/.test(part))) {
    throw new InvalidArgumentError('Expected token ids separated by commas, for example 1,2,3.');
  }
  return parts.map(Number);
}

/** The place of an image among token ids. */
export interface ImagePlace {
  readonly image: number;
}

/** Token ids separated by commas, with images among them: `1,117,image:1,1,98`. */
export function promptIds(text: string): (number | ImagePlace)[] {
  const parts = text.split(',').map((part) => part.trim());
  if (!parts.every((part) => /^(\d{1,9}|image:[1-9]\d{0,3})$/.test(part))) {
    throw new InvalidArgumentError('Expected token ids separated by commas, images among them: 1,2,3 or 1,image:1,3.');
  }
  return parts.map((part) => (part.startsWith('image:') ? { image: Number(part.slice(6)) } : Number(part)));
}

/** Adds a repeated option's value to those before it. */
export function repeated(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}
