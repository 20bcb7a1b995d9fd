import type { tokenizerWarningCodes } from './errors.ts';

/** A token that is looked for in the raw text before anything else, with its published rules. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Left out by `skipSpecialTokens`. In Phi-3-mini `</s>` is recognised in text and yet not special. */
  readonly special: boolean;
  /** Swallows the white space before it. */
  readonly lstrip: boolean;
  /** Swallows the white space after it. */
  readonly rstrip: boolean;
}

/** Something in the files that does not stop the work but that a caller should know. */
export interface TokenizerWarning {
  readonly code: keyof typeof tokenizerWarningCodes;
  readonly message: string;
}

/** How {@link Tokenizer.encode} reads the text. */
export interface EncodeOptions {
  /** Put the tokens around the text that the tokenizer's files ask for, in Phi-3 at most a `<s>` in front. Default true. */
  addSpecialTokens?: boolean;
  /** Recognise added tokens such as `<|end|>` in the text. When false they are plain text. Default true. */
  parseSpecialTokens?: boolean;
  /**
   * Ranges `[start, end)` of the text, ascending, in UTF-16 code units, that no recognised token may touch: what a user
   * typed. Outside of them added tokens are recognised, and their `rstrip` reaches into a range as published.
   */
  literalRanges?: readonly (readonly [start: number, end: number])[];
  /** What half a surrogate pair means: U+FFFD as in every reference, or an error. Default `'replace'`. */
  loneSurrogates?: 'replace' | 'error';
  /** Longest text accepted, in UTF-16 code units. Default and maximum 67,108,864. */
  maxInputLength?: number;
}

/** {@link EncodeOptions} for a call that can be given up. */
export interface EncodeAsyncOptions extends EncodeOptions {
  /** Looked at between chunks of 262,144 code units; one unbroken word is never interrupted. */
  signal?: AbortSignal;
}

/** How ids become text. */
export interface DecodeOptions {
  /** Leave out special tokens. Default false. */
  skipSpecialTokens?: boolean;
}

/** Turns ids into text as they come, never half a character. */
export interface StreamDecoder {
  /** The text that becomes final with this id; often empty. */
  push(id: number): string;
  /** What was withheld, as U+FFFD; then the decoder starts afresh. */
  flush(): string;
}

/** Text to token ids and back. */
export interface Tokenizer {
  readonly kind: 'sentencepiece-bpe' | 'tiktoken';
  /** Highest id with a token, plus one. The model may have more rows: Phi-3-mini has 32,064, of which 32,011 are used. */
  readonly vocabSize: number;
  readonly bosTokenId: number | undefined;
  /** The token that ends a text. What ends an answer is another question: see `stopTokenIds`. */
  readonly eosTokenId: number | undefined;
  readonly padTokenId: number | undefined;
  readonly unknownTokenId: number | undefined;
  readonly addedTokens: readonly AddedToken[];
  readonly warnings: readonly TokenizerWarning[];
  /**
   * Token ids of a text.
   *
   * @throws Phi3Error `TK_INPUT_TOO_LARGE`, `TK_SURROGATE` (only when asked for), `OPTION_UNKNOWN`, `ARGUMENT`
   */
  encode(text: string, options?: EncodeOptions): Int32Array;
  /**
   * The same ids as {@link Tokenizer.encode}, with the thread given back between chunks.
   *
   * @throws Phi3Error `ABORTED` when the signal fires, and what `encode` throws
   */
  encodeAsync(text: string, options?: EncodeAsyncOptions): Promise<Int32Array>;
  /**
   * Text of token ids.
   *
   * @throws Phi3Error `TK_ID_RANGE` for an id that is not a whole number from 0 to 2³¹ − 1
   */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;
  createStreamDecoder(options?: DecodeOptions): StreamDecoder;
  /** The id of a token given as it is written in the vocabulary (`▁the`, `<0x0A>`, `<|end|>`). */
  tokenToId(token: string): number | undefined;
  /** The token as it is written in the vocabulary; for tiktoken its bytes read as UTF-8. */
  idToToken(id: number): string | undefined;
}
