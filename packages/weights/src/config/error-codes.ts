/** The codes of faults in `config.json`, `generation_config.json` and `preprocessor_config.json`, and what they mean. */
export const configErrorCodes = {
  CF_PARSE: 'The file is too large, not JSON in UTF-8, nested too deeply, or not an object.',
  CF_DUPLICATE_KEY: 'The file holds a key twice.',
  CF_MODEL_TYPE: 'The model type or the architecture is none that this project runs.',
  CF_FIELD_MISSING: 'A field that has no default is missing.',
  CF_FIELD: 'A field has the wrong type or lies outside its range.',
  CF_HEADS: 'Sizes of heads do not fit: hidden size, number of heads, or the part of a head that rotates.',
  CF_ROPE_SCALING: 'The scaling of the rotary position embedding is unknown, incomplete or out of range.',
  CF_BLOCK_SPARSE: 'The blocks of block-sparse attention do not fit each other.',
  CF_EXPERTS: 'The numbers of experts do not fit each other.',
  CF_QUANTIZATION: 'The checkpoint is quantized in a way that this package does not read.',
  CF_TOKEN_ID: 'A token id lies outside the vocabulary.',
  CF_VOCABULARY: 'The embedding matrix has too few rows for the vocabulary.',
  CF_UNSUPPORTED: 'A field asks for something that no published member does and this project does not compute.',
} as const;

/** A code of {@link configErrorCodes}. */
export type ConfigErrorCode = keyof typeof configErrorCodes;
