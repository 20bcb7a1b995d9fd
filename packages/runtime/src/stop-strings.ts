import { ArgumentError } from '@phiblocks/tensor';

/** A stop string longer than this is taken for a mistake: text would be held back for as long. */
const longestStopString = 1024;

/** Lets text through, but holds back what may turn out to be the beginning of a stop string. */
export interface StopStringFilter {
  /** Adds text; returns what is safe to show. Once a stop string is complete, the text before it is the last. */
  push(text: string): { readonly text: string; readonly stopped: boolean };
  /** What is still held back when generation ends for another reason. */
  flush(): string;
}

/**
 * @param stop - strings that end the text; none of them appears in the output
 * @throws ArgumentError `ARGUMENT` for an empty stop string or one above 1,024 characters
 * @example
 * const filter = createStopStringFilter(['\n\n']);
 * filter.push('one\n').text; // => 'one'
 * filter.push('two').text; // => '\ntwo'
 * filter.push('\n\nthree'); // => { text: '', stopped: true }
 */
export function createStopStringFilter(stop: readonly string[]): StopStringFilter {
  for (const [index, text] of stop.entries()) {
    if (typeof text !== 'string' || text.length === 0 || text.length > longestStopString) {
      throw new ArgumentError({
        function: 'generate',
        argument: `stop[${index}]`,
        expected: `text of 1 to ${longestStopString} characters`,
        got: text,
      });
    }
  }
  let held = '';
  return {
    push(text) {
      held += text;
      let end = -1;
      for (const candidate of stop) {
        const at = held.indexOf(candidate);
        if (at >= 0 && (end < 0 || at < end)) end = at;
      }
      if (end >= 0) {
        const before = held.slice(0, end);
        held = '';
        return { text: before, stopped: true };
      }
      const keep = longestOpenPrefix(held, stop);
      const safe = held.slice(0, held.length - keep);
      held = held.slice(held.length - keep);
      return { text: safe, stopped: false };
    },
    flush() {
      const rest = held;
      held = '';
      return rest;
    },
  };
}

/** Length of the longest end of `text` that begins one of the stop strings. */
function longestOpenPrefix(text: string, stop: readonly string[]): number {
  let longest = 0;
  for (const candidate of stop) {
    for (let length = Math.min(candidate.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(candidate.slice(0, length))) longest = length;
    }
  }
  return longest;
}
