import { type ErrorDetails, Phi3Error } from '@phiblocks/tensor';

/** Every code that this package throws of its own, and what it means. Codes are stable: programs may branch on them. */
export const tokenizerErrorCodes = {
  TK_JSON: 'The file is not JSON, or its bytes are not UTF-8.',
  TK_TOO_LARGE: 'The file is over 128 MiB or its vocabulary over 2,000,000 tokens.',
  TK_DEPTH: 'Components are nested deeper than 16 levels.',
  TK_MODEL: 'The model is missing, of another type than BPE, or has a setting that would change the result.',
  TK_VOCAB: 'Vocabulary ids are not exactly 0, 1, 2, …, or a token text cannot be used.',
  TK_MERGE: 'A merge is malformed, repeated, or names a token that the vocabulary lacks.',
  TK_ADDED_TOKEN: 'An added token is malformed, collides with another token, or asks for something unsupported.',
  TK_BYTE_FALLBACK: 'Not every byte from 0x00 to 0xFF has a token.',
  TK_COMPONENT: 'A normalizer, pre-tokenizer, post-processor or decoder is not on the list of known ones.',
  TK_REGEX: 'The file holds a regular expression. Regular expressions from files are never run.',
  TK_TRUNCATION: 'A truncation or padding block contradicts itself.',
  TK_CONFIG: 'tokenizer_config.json has a value of the wrong kind or names a token that does not exist.',
  TK_RANKS: 'A line of a tiktoken file is malformed, repeated or out of order.',
  TK_GGUF: 'The arrays of a GGUF vocabulary do not fit each other, or an entry is malformed.',
  TK_ID_RANGE: 'A token id is not a whole number in range.',
  TK_SURROGATE: 'The text holds half a surrogate pair, and the call asked to reject that.',
  TK_INPUT_TOO_LARGE: 'The text is longer than maxInputLength.',
  TK_CHAT_TEMPLATE: 'The chat template is not one of the published ones.',
  TK_CHAT_MESSAGE: 'A chat message is malformed, or the template refuses the list of messages.',
  TK_IMAGE_TAG: 'The image tags of a prompt do not match its images.',
} as const;

/** One of the codes in {@link tokenizerErrorCodes}. */
export type TokenizerErrorCode = keyof typeof tokenizerErrorCodes;

export function tokenizerError(details: ErrorDetails<TokenizerErrorCode>): Phi3Error<TokenizerErrorCode> {
  return new Phi3Error(details);
}

/** The codes of warnings: what does not stop the work but a caller should know. */
export const tokenizerWarningCodes = {
  TK_FLAGS_DISAGREE:
    'tokenizer.json and tokenizer_config.json give an added token different flags; tokenizer.json is followed.',
  TK_IGNORED: 'A setting of the files is not applied.',
  TK_RULES_UNKNOWN: 'The file does not say which added tokens swallow white space; none does.',
} as const;
