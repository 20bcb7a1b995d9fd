import { ArgumentError, expectKnownOptions, Phi3Error } from '@phiblocks/tensor';
import { AddedTokenMatcher } from './added-tokens.ts';
import { tokenizerError } from './errors.ts';
import { IdBuffer } from './id-buffer.ts';
import type {
  AddedToken,
  DecodeOptions,
  EncodeAsyncOptions,
  EncodeOptions,
  StreamDecoder,
  Tokenizer,
  TokenizerWarning,
} from './tokenizer.ts';

/** Longest text, in UTF-16 code units: every position times three bytes stays below the 2²⁸ that the merge heap can hold. */
export const longestInput = 2 ** 26;

/** How much text `encodeAsync` encodes before it gives the thread back; some 10 ms of work. */
const chunkLength = 1 << 18;

/** What the two kinds of tokenizer do differently. */
export interface TokenizerParts {
  kind: Tokenizer['kind'];
  vocabSize: number;
  addedTokens: readonly AddedToken[];
  /** Ids that `addSpecialTokens` puts in front and behind. */
  prefixIds: readonly number[];
  suffixIds: readonly number[];
  bosTokenId?: number | undefined;
  eosTokenId?: number | undefined;
  padTokenId?: number | undefined;
  unknownTokenId?: number | undefined;
  warnings: readonly TokenizerWarning[];
  encoder: {
    encodePart(
      text: string,
      pieceStart: number,
      position: number,
      end: number,
      stopAfter: number,
      out: IdBuffer,
    ): number;
  };
  decoder: {
    decode(ids: ArrayLike<number>, skipSpecialTokens: boolean): string;
    createStreamDecoder(skipSpecialTokens: boolean): StreamDecoder;
  };
  /** Rejects ids at or above this; 2³¹ where the reference drops ids without a token. */
  idLimit: number;
  tokenToId(token: string): number | undefined;
  idToToken(id: number): string | undefined;
}

const encodeOptionNames = [
  'addSpecialTokens',
  'parseSpecialTokens',
  'literalRanges',
  'loneSurrogates',
  'maxInputLength',
] as const;

export function createTokenizer(parts: TokenizerParts): Tokenizer {
  const { encoder, decoder, prefixIds, suffixIds, idLimit } = parts;
  const matcher = new AddedTokenMatcher(parts.addedTokens);

  /** Encodes into `out` and yields after every chunk, so that the caller may pause or give up. */
  function* encodeSteps(text: string, options: EncodeOptions, out: IdBuffer): Generator<undefined> {
    if (options.addSpecialTokens ?? true) for (const id of prefixIds) out.push(id);
    const ranges = (options.literalRanges ?? []).filter(([start, end]) => start < end);
    const parse = options.parseSpecialTokens ?? true;
    let chunkEnd = chunkLength;
    let from = 0;
    for (;;) {
      const match = parse ? matcher.next(text, from, ranges) : undefined;
      const end = match?.start ?? text.length;
      for (let position = from; position < end; ) {
        position = encoder.encodePart(text, from, position, end, chunkEnd, out);
        if (position >= chunkEnd) {
          yield;
          chunkEnd = position + chunkLength;
        }
      }
      if (match === undefined) break;
      out.push(match.token.id);
      from = match.end;
    }
    if (options.addSpecialTokens ?? true) for (const id of suffixIds) out.push(id);
  }

  return {
    kind: parts.kind,
    vocabSize: parts.vocabSize,
    bosTokenId: parts.bosTokenId,
    eosTokenId: parts.eosTokenId,
    padTokenId: parts.padTokenId,
    unknownTokenId: parts.unknownTokenId,
    addedTokens: parts.addedTokens,
    warnings: parts.warnings,
    encode(text, options = {}) {
      checkEncodeOptions('encode', text, options, encodeOptionNames);
      const out = new IdBuffer();
      for (const _ of encodeSteps(text, options, out));
      return out.toArray();
    },
    async encodeAsync(text, options = {}) {
      checkEncodeOptions('encodeAsync', text, options, [...encodeOptionNames, 'signal']);
      const { signal, ...encodeOptions }: EncodeAsyncOptions = options;
      const out = new IdBuffer();
      throwIfAborted(signal);
      for (const _ of encodeSteps(text, encodeOptions, out)) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        throwIfAborted(signal);
      }
      return out.toArray();
    },
    decode(ids, options = {}) {
      for (let i = 0; i < ids.length; i++) checkId('decode', ids[i]!, idLimit);
      return decoder.decode(ids, skipSpecialTokens('decode', options));
    },
    createStreamDecoder(options = {}) {
      const stream = decoder.createStreamDecoder(skipSpecialTokens('createStreamDecoder', options));
      return {
        push: (id) => {
          checkId('push', id, idLimit);
          return stream.push(id);
        },
        flush: () => stream.flush(),
      };
    },
    tokenToId: (token) => parts.tokenToId(token),
    idToToken: (id) => parts.idToToken(id),
  };
}

function skipSpecialTokens(functionName: string, options: DecodeOptions): boolean {
  expectKnownOptions(functionName, options, ['skipSpecialTokens']);
  return options.skipSpecialTokens ?? false;
}

function checkId(functionName: string, id: unknown, idLimit: number): void {
  if (typeof id === 'number' && id >= 0 && id < idLimit && Number.isInteger(id)) return;
  throw tokenizerError({
    code: 'TK_ID_RANGE',
    function: functionName,
    argument: 'id',
    expected: `a whole number from 0 to ${idLimit - 1}`,
    got: id,
  });
}

function checkEncodeOptions(
  functionName: string,
  text: unknown,
  options: EncodeOptions,
  known: readonly string[],
): asserts text is string {
  expectKnownOptions(functionName, options, known);
  if (typeof text !== 'string')
    throw new ArgumentError({ function: functionName, argument: 'text', expected: 'a string', got: text });
  const { maxInputLength = longestInput, loneSurrogates = 'replace', literalRanges = [] } = options;
  if (!Number.isInteger(maxInputLength) || maxInputLength < 0 || maxInputLength > longestInput)
    throw new ArgumentError({
      function: functionName,
      argument: 'maxInputLength',
      expected: `a whole number from 0 to ${longestInput}`,
      got: maxInputLength,
    });
  if (text.length > maxInputLength)
    throw tokenizerError({
      code: 'TK_INPUT_TOO_LARGE',
      function: functionName,
      argument: 'text',
      expected: `at most ${maxInputLength} UTF-16 code units`,
      got: text.length,
    });
  if (loneSurrogates !== 'replace' && loneSurrogates !== 'error')
    throw new ArgumentError({
      function: functionName,
      argument: 'loneSurrogates',
      expected: "'replace' or 'error'",
      got: loneSurrogates,
    });
  if (loneSurrogates === 'error') {
    const at = text.search(/\p{Surrogate}/u);
    if (at >= 0)
      throw tokenizerError({
        code: 'TK_SURROGATE',
        function: functionName,
        argument: 'text',
        expected: 'whole surrogate pairs',
        got: `half a pair at ${at}`,
      });
  }
  let last = 0;
  for (const [start, end] of literalRanges) {
    if (!(Number.isInteger(start) && Number.isInteger(end) && last <= start && start <= end && end <= text.length))
      throw new ArgumentError({
        function: functionName,
        argument: 'literalRanges',
        expected: `ascending ranges within 0 to ${text.length}`,
        got: [start, end],
      });
    last = end;
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new Phi3Error({ code: 'ABORTED', function: 'encodeAsync', cause: signal.reason, retryable: true });
}
