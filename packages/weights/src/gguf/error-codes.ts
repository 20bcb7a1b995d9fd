/** The codes of faults in GGUF files, and what they mean. */
export const ggufErrorCodes = {
  GG_MAGIC: 'The file does not begin with the four letters GGUF.',
  GG_VERSION: 'The file has a version other than 2 and 3, or is big-endian.',
  GG_TRUNCATED: 'The file ends in the middle of its header.',
  GG_LIMIT: 'The header is larger, or holds more entries or values, than the limit.',
  GG_COUNT: 'A count or length in the header is more than the rest of the file could hold.',
  GG_UTF8: 'A key, a name or a text is not valid UTF-8.',
  GG_NAME: 'A metadata key or a tensor name is empty or too long.',
  GG_DUPLICATE_KEY: 'A metadata key occurs twice.',
  GG_VALUE_TYPE: 'The type of a metadata value, or of the elements of an array, is none of the format.',
  GG_VALUE: 'A truth value is neither 0 nor 1.',
  GG_NESTING: 'Arrays are nested deeper than four levels.',
  GG_SHAPE: 'A tensor has no dimension, more than four, a dimension of zero, or more elements than can be counted.',
  GG_TYPE_UNKNOWN: 'The type of a tensor is none that ggml has.',
  GG_TYPE_UNSUPPORTED: 'The tensor was asked for as floats, and its type is one that this package does not convert.',
  GG_BLOCK: 'The rows of a tensor are not a whole number of blocks of its type.',
  GG_OFFSET: 'The offset of a tensor is not a multiple of the alignment, or lies past the end of the file.',
  GG_OVERLAP: 'Two tensors share bytes.',
  GG_DATA_TRUNCATED: 'The file ends before the data of a tensor does.',
  GG_DUPLICATE_TENSOR: 'Two tensors have the same name.',
  GG_ALIGNMENT: 'general.alignment is not a whole number that is a power of two from 8 to 65536.',
  GG_KEY_MISSING: 'The metadata lacks a key that is needed.',
  GG_KEY_TYPE: 'A metadata value has another type than its key needs.',
  GG_VOCABULARY: 'The lists of the vocabulary do not fit each other, or an id lies outside it.',
  GG_TOKENIZER: 'A tokenizer.json is faulty, or of a kind that is not written as GGUF.',
  GG_SPLIT: 'The parts of a split file are incomplete, out of order or of different models.',
} as const;

/** A code of {@link ggufErrorCodes}. */
export type GgufErrorCode = keyof typeof ggufErrorCodes;
