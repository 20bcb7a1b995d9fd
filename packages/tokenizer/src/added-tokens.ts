import { tokenizerError } from './errors.ts';
import type { AddedToken } from './tokenizer.ts';
import { isWhiteSpace } from './white-space.ts';

/** Longest added token accepted; the longest published one has 17 characters. It bounds what one position can cost. */
const longestAddedToken = 1024;

interface TrieNode {
  children: Map<number, TrieNode> | undefined;
  token: AddedToken | undefined;
}

/** Where an added token was found, white space that it swallows included. */
export interface AddedTokenMatch {
  token: AddedToken;
  start: number;
  end: number;
}

/**
 * Finds added tokens in raw text: leftmost first, of those at one place the longest (Rust tokenizers
 * `added_vocabulary.rs`, `find_matches`).
 */
export class AddedTokenMatcher {
  readonly #root: TrieNode = { children: undefined, token: undefined };
  /** 1 for a code unit that some token begins with. */
  readonly #isFirst = new Uint8Array(0x10000);
  readonly #isEmpty: boolean;
  readonly #firstCharacter: string | undefined;

  constructor(tokens: readonly AddedToken[]) {
    for (const token of tokens) {
      let node = this.#root;
      for (let i = 0; i < token.content.length; i++) {
        const unit = token.content.charCodeAt(i);
        node.children ??= new Map();
        let child = node.children.get(unit);
        if (child === undefined) {
          child = { children: undefined, token: undefined };
          node.children.set(unit, child);
        }
        node = child;
      }
      node.token = token;
    }
    const firstUnits = [...(this.#root.children?.keys() ?? [])];
    for (const unit of firstUnits) this.#isFirst[unit] = 1;
    this.#isEmpty = firstUnits.length === 0;
    // All published tokens begin with '<', which `indexOf` finds far faster than a loop.
    this.#firstCharacter = firstUnits.length === 1 ? String.fromCharCode(firstUnits[0]!) : undefined;
  }

  /**
   * The next token at or after `from` that touches none of the literal ranges.
   *
   * @param literalRanges - ascending, not overlapping
   */
  next(text: string, from: number, literalRanges: readonly (readonly [number, number])[]): AddedTokenMatch | undefined {
    if (this.#isEmpty) return undefined;
    let low = 0;
    let high = literalRanges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (literalRanges[middle]![1] <= from) low = middle + 1;
      else high = middle;
    }
    let rangeIndex = low;
    for (let at = this.#candidate(text, from); at >= 0; at = this.#candidate(text, at + 1)) {
      while (rangeIndex < literalRanges.length && literalRanges[rangeIndex]![1] <= at) rangeIndex++;
      const range = literalRanges[rangeIndex];
      if (range !== undefined && range[0] <= at) {
        at = range[1] - 1;
        continue;
      }
      const limit = range === undefined ? text.length : range[0];
      const token = this.#longestAt(text, at, limit);
      if (token !== undefined) {
        let start = at;
        let end = at + token.content.length;
        if (token.lstrip) while (start > from && isWhiteSpace(text.charCodeAt(start - 1))) start--;
        if (token.rstrip) while (end < text.length && isWhiteSpace(text.charCodeAt(end))) end++;
        return { token, start, end };
      }
    }
    return undefined;
  }

  #candidate(text: string, from: number): number {
    if (this.#firstCharacter !== undefined) return text.indexOf(this.#firstCharacter, from);
    for (let i = from; i < text.length; i++) if (this.#isFirst[text.charCodeAt(i)] === 1) return i;
    return -1;
  }

  #longestAt(text: string, start: number, limit: number): AddedToken | undefined {
    let node: TrieNode | undefined = this.#root;
    let longest: AddedToken | undefined;
    for (let i = start; i < limit; i++) {
      node = node.children?.get(text.charCodeAt(i));
      if (node === undefined) break;
      if (node.token !== undefined) longest = node.token;
    }
    return longest;
  }
}

/**
 * Checks that added tokens fit each other and the vocabulary.
 *
 * @param functionName - for the message
 * @param tokens - in the order of the file
 * @param idInVocabulary - the id of a text in the vocabulary
 * @param textInVocabulary - the text of an id in the vocabulary
 * @throws Phi3Error `TK_ADDED_TOKEN`
 */
export function checkAddedTokens(
  functionName: string,
  tokens: readonly AddedToken[],
  idInVocabulary: (content: string) => number | undefined,
  textInVocabulary: (id: number) => string | undefined,
): void {
  const contentById = new Map<number, string>();
  const idByContent = new Map<string, number>();
  for (const [index, { id, content }] of tokens.entries()) {
    const reject = (expected: string, got: unknown): never => {
      throw tokenizerError({
        code: 'TK_ADDED_TOKEN',
        function: functionName,
        argument: 'addedTokens',
        expected,
        got,
        where: { key: `added_tokens[${index}]` },
      });
    };
    if (content.length === 0 || content.length > longestAddedToken)
      reject(`a content of 1 to ${longestAddedToken} code units`, content.length);
    const vocabularyId = idInVocabulary(content);
    if (vocabularyId !== undefined && vocabularyId !== id) reject(`id ${vocabularyId}, as in the vocabulary`, id);
    const vocabularyText = textInVocabulary(id);
    if (vocabularyText !== undefined && vocabularyText !== content)
      reject(`an id of its own; ${id} is another token of the vocabulary`, content);
    if (contentById.has(id)) reject(`an id of its own; ${id} is another added token`, content);
    if (idByContent.has(content)) reject('a content of its own', content);
    contentById.set(id, content);
    idByContent.set(content, id);
  }
}
