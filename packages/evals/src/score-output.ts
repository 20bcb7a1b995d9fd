import type { Scoring } from './sample.ts';

/**
 * Scores an output against what was hidden, from 0 to 1.
 *
 * `all`, of RULER: the share of the references that the output contains, whatever their case. `first-integer`, of the
 * passkey test: 1 when the first whole number of the output is the reference, else 0.
 *
 * @param scoring - of the sample
 * @param output - what the model wrote
 * @param references - of the sample, at least one
 * @example
 * scoreOutput('all', 'They are Oak and ELM.', ['oak', 'elm', 'ash', 'fir']); // => 0.5
 * scoreOutput('first-integer', ' 0815. Or 4711', ['815']); // => 1
 */
export function scoreOutput(scoring: Scoring, output: string, references: readonly string[]): number {
  if (scoring === 'first-integer') {
    const first = /\d+/.exec(output)?.[0];
    // By value, as the published script compares: leading zeros do not count.
    return first !== undefined && stripZeros(first) === stripZeros(references[0]!) ? 1 : 0;
  }
  const lower = output.toLowerCase();
  return references.filter((reference) => lower.includes(reference.toLowerCase())).length / references.length;
}

/**
 * The score of question answering: 1 when the output contains any of the references, whatever their case, else 0.
 *
 * @param output - what the model wrote
 * @param references - answers that count
 * @example
 * scoreAny('It was in Paris.', ['Lyon', 'paris']); // => 1
 */
export function scoreAny(output: string, references: readonly string[]): number {
  const lower = output.toLowerCase();
  return references.some((reference) => lower.includes(reference.toLowerCase())) ? 1 : 0;
}

function stripZeros(digits: string): string {
  return digits.replace(/^0+(?=\d)/, '');
}
