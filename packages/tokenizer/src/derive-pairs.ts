import type { MergeList } from './pair-table.ts';

/**
 * Every way to put two tokens together to a third. A vocabulary with scores instead of a list of merges means all of them:
 * sentencepiece looks the joined text up and takes its score.
 *
 * @param tokens - the tokens that take part, as text whose characters may be cut anywhere
 * @param priorityOf - priority of the merges that give a token; lower merges first
 */
export function derivePairs(tokens: ReadonlyMap<string, number>, priorityOf: (id: number) => number): MergeList {
  let pairs = new Int32Array(4096);
  let length = 0;
  for (const [text, id] of tokens) {
    for (let cut = 1; cut < text.length; cut++) {
      const left = tokens.get(text.slice(0, cut));
      if (left === undefined) continue;
      const right = tokens.get(text.slice(cut));
      if (right === undefined) continue;
      if (length + 4 > pairs.length) {
        const grown = new Int32Array(pairs.length * 2);
        grown.set(pairs);
        pairs = grown;
      }
      pairs[length] = left;
      pairs[length + 1] = right;
      pairs[length + 2] = priorityOf(id);
      pairs[length + 3] = id;
      length += 4;
    }
  }
  return pairs.slice(0, length);
}
