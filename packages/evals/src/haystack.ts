import type { Sentences } from './filler.ts';

/**
 * The first `numWords` words of some sentences, as sentences; the last one may be cut. `insert` come in between: each
 * behind as many sentences as its place says.
 */
export function haystackOf(
  sentences: Sentences,
  numWords: number,
  placed: (numSentences: number) => readonly { readonly text: string; readonly afterSentences: number }[],
  endings: readonly string[] = [],
): string {
  const whole: string[] = [];
  let words = 0;
  for (let index = 0; words < numWords; index++) {
    const parts = sentences(index).split(' ');
    const kept = parts.slice(0, numWords - words);
    words += kept.length;
    whole.push(kept.join(' '));
  }
  if (endings.length > 0) whole.push(endings.join(' '));
  const behind = new Map<number, string[]>();
  for (const { text, afterSentences } of placed(whole.length)) {
    behind.set(afterSentences, [...(behind.get(afterSentences) ?? []), text]);
  }
  const out: string[] = [...(behind.get(0) ?? [])];
  for (const [index, sentence] of whole.entries()) out.push(sentence, ...(behind.get(index + 1) ?? []));
  return out.join(' ');
}
