export {
  type ChatMessage,
  type ChatOptions,
  type ChatTemplateName,
  type RenderedChat,
  renderChat,
  renderChatParts,
  stopTokenIds,
} from './chat-templates.ts';
export { detectChatTemplate } from './detect-chat-template.ts';
export { type EncodeChatOptions, encodeChat } from './encode-chat.ts';
export { encodeVisionPrompt, type VisionPrompt } from './encode-vision-prompt.ts';
export { type TokenizerErrorCode, tokenizerErrorCodes, tokenizerWarningCodes } from './errors.ts';
export {
  type AddedTokenRules,
  createGgufTokenizer,
  type GgufTokenizerOptions,
  type GgufVocabulary,
} from './gguf-tokenizer.ts';
export { parseTiktoken, type TiktokenOptions } from './parse-tiktoken.ts';
export { parseTokenizerJson, type TokenizerJsonOptions } from './parse-tokenizer-json.ts';
export { createPhi3SmallTokenizer } from './phi3-small-tokenizer.ts';
export type {
  AddedToken,
  DecodeOptions,
  EncodeAsyncOptions,
  EncodeOptions,
  StreamDecoder,
  Tokenizer,
  TokenizerWarning,
} from './tokenizer.ts';
