import { parseTiktoken, parseTokenizerJson, type Tokenizer } from '@phiblocks/tokenizer';

/** A piece of a text, as a tokenizer cuts it. */
export interface Piece {
  readonly id: number;
  /** As it is written in the vocabulary: `▁the`, `<0x0A>`. */
  readonly token: string;
  /** The text that becomes final with this piece; empty while a character is incomplete. */
  readonly text: string;
  /** A token of the vocabulary's own, which is no text: `<|end|>`. */
  readonly isAdded: boolean;
}

/** The pieces of a text. */
export function piecesOf(tokenizer: Tokenizer, text: string, parseSpecialTokens = false): Piece[] {
  const ids = tokenizer.encode(text, { parseSpecialTokens });
  const decoder = tokenizer.createStreamDecoder();
  const added = new Set(tokenizer.addedTokens.map(({ id }) => id));
  const pieces = Array.from(ids, (id) => ({
    id,
    token: tokenizer.idToToken(id) ?? '',
    text: decoder.push(id),
    isAdded: added.has(id),
  }));
  const rest = decoder.flush();
  const last = pieces.at(-1);
  return rest === '' || last === undefined ? pieces : [...pieces.slice(0, -1), { ...last, text: last.text + rest }];
}

/** What a vocabulary costs on a text. */
export interface PieceCounts {
  readonly numTokens: number;
  readonly numCharacters: number;
  readonly sizeInBytes: number;
  readonly charactersPerToken: number;
}

/** Counts pieces; characters are Unicode code points, bytes those of UTF-8. */
export function countPieces(pieces: readonly Piece[], text: string): PieceCounts {
  const numCharacters = Array.from(text).length;
  return {
    numTokens: pieces.length,
    numCharacters,
    sizeInBytes: new TextEncoder().encode(text).length,
    charactersPerToken: pieces.length === 0 ? 0 : numCharacters / pieces.length,
  };
}

/** A vocabulary of bytes alone, in the form of Phi-3-small: the floor that every vocabulary stands on. */
export function byteTokenizer(): Tokenizer {
  return parseTiktoken(ranksOf(singleBytes));
}

/**
 * A vocabulary in the form of Phi-3-small (tiktoken ranks), learnt from a text: the commonest pair of neighbours within words
 * becomes a token, and again, as often as asked. Of pairs that are equally common the first in the text wins.
 */
export function learnTiktokenTokenizer(text: string, numMerges: number): Tokenizer {
  const words = (text.match(/ ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+/gu) ?? []).map((word) =>
    Array.from(new TextEncoder().encode(word), (byte) => String.fromCharCode(byte)),
  );
  const tokens = [...singleBytes];
  const known = new Set(tokens);
  for (let merge = 0; merge < numMerges; merge++) {
    const counts = new Map<string, { left: string; right: string; count: number }>();
    for (const word of words) {
      for (let i = 0; i + 1 < word.length; i++) {
        const [left, right] = [word[i]!, word[i + 1]!];
        const key = `${left.length},${left}${right}`;
        const pair = counts.get(key) ?? { left, right, count: 0 };
        counts.set(key, { ...pair, count: pair.count + 1 });
      }
    }
    let best: { left: string; right: string; count: number } | undefined;
    for (const pair of counts.values()) if (pair.count > (best?.count ?? 1)) best = pair;
    if (best === undefined) break; // every pair that is left occurs once
    const { left, right } = best;
    for (const [at, word] of words.entries()) words[at] = merged(word, left, right);
    if (known.has(left + right)) continue;
    known.add(left + right);
    tokens.push(left + right);
  }
  return parseTiktoken(ranksOf(tokens));
}

function merged(word: readonly string[], left: string, right: string): string[] {
  const out: string[] = [];
  for (let i = 0; i < word.length; i++) {
    if (word[i] === left && word[i + 1] === right) {
      out.push(left + right);
      i++;
    } else out.push(word[i]!);
  }
  return out;
}

const singleBytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));

/** A file of tiktoken ranks: each token in base64, and its rank. Tokens are one character per byte. */
function ranksOf(tokens: readonly string[]): string {
  return tokens.map((token, rank) => `${btoa(token)} ${rank}\n`).join('');
}

/**
 * A tokenizer from a file of the reader: a `tokenizer.json`, or ranks in the form of tiktoken.
 *
 * @throws Phi3Error the codes of the tokenizer
 */
export function tokenizerOfFile(name: string, bytes: Uint8Array): Tokenizer {
  return name.endsWith('.tiktoken') ? parseTiktoken(bytes) : parseTokenizerJson(bytes);
}

/** What the learnt vocabulary is learnt from: nine lines about tokens, of our own. */
export const lessonText = `A token is a piece of text that the model has a number for. Common words are one token, and rare
words are put together from several. Nothing is left out: what has no piece of its own is written in bytes, so that every text
in every language can be read and written. The pieces are learned from text. Learning starts with single letters and joins the
two neighbours that are seen together most often, again and again, until the list is as long as it should be. So the pieces are
short where the text of the lesson was thin, and long where it was thick. A list that was learned from English cuts other
languages into more pieces than it needs for English, and the same question then costs more. Numbers are a case of their own:
some lists keep every digit apart, and the others join what is often seen together, which makes adding harder to learn. A space
belongs to the word after it. The model never sees letters; it sees numbers of pieces, and it has to learn how each of them is
spelled from what it reads.`;
