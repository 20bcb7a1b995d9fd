import { expectKnownOptions, Phi3Error } from '@phiblocks/tensor';
import type { ConfigErrorCode } from './error-codes.ts';

/**
 * Checks that every token has a row in the embedding.
 *
 * The numbers need not be equal: Phi-3-mini's tokenizer has 32,011 tokens, its embedding 32,064 rows, a multiple of 64 for
 * the sake of fast kernels. The rows at the end belong to no token.
 *
 * @param config - only `vocabSize` is read
 * @param counts - rows of the embedding matrix, and tokens of the tokenizer; either may be absent
 * @throws Phi3Error `CF_VOCABULARY` when the embedding has fewer rows than `vocabSize`, or than the tokenizer has tokens
 * @example
 * expectVocabularyFits({ vocabSize: 32064 }, { embeddingRows: 32064, numTokens: 32011 });
 */
export function expectVocabularyFits(
  config: { readonly vocabSize: number },
  counts: { embeddingRows?: number | undefined; numTokens?: number | undefined },
): void {
  expectKnownOptions('expectVocabularyFits', counts, ['embeddingRows', 'numTokens']);
  const { vocabSize } = config;
  const { embeddingRows = vocabSize, numTokens = 0 } = counts;
  if (embeddingRows < vocabSize) {
    throw vocabularyError('embeddingRows', `at least vocab_size, ${vocabSize} rows`, embeddingRows);
  }
  if (numTokens > vocabSize) {
    throw vocabularyError('numTokens', `at most vocab_size, ${vocabSize} tokens`, numTokens);
  }
}

function vocabularyError(argument: string, expected: string, got: number): Phi3Error<ConfigErrorCode> {
  return new Phi3Error({
    code: 'CF_VOCABULARY',
    function: 'expectVocabularyFits',
    argument,
    expected,
    got,
    hint: 'Configuration, weights and tokenizer are not of one model',
  });
}
