import { expectKnownOptions } from '@phiblocks/tensor';
import { type ChatMessage, type ChatOptions, type ChatTemplateName, renderChatParts } from './chat-templates.ts';
import type { Tokenizer } from './tokenizer.ts';

export interface EncodeChatOptions extends ChatOptions {
  /** Let text in messages become special tokens, as tokenizing the rendered text does. Default false. */
  parseSpecialTokensInContent?: boolean;
}

/**
 * Token ids of a chat. Tokens of the template are special; the same text inside a message is plain text, so nobody can
 * end their message with `<|end|>` and speak as the system. For messages that hold no such text the ids equal those of the
 * rendered text: the text is encoded as a whole, and white space after a template token is swallowed as published, also
 * where it belongs to a message.
 *
 * No BOS is added: a template that wants one prints it.
 *
 * @throws Phi3Error what `renderChat` and `encode` throw
 * @example
 * const bytes = Array.from({ length: 256 }, (_, byte) => `${btoa(String.fromCharCode(byte))} ${byte}\n`).join('');
 * const names = ['<|user|>', '<|end|>', '<|assistant|>'];
 * const tokenizer = parseTiktoken(bytes, { specialTokens: names.map((content, k) => ({ id: 256 + k, content })) });
 * const messages = [{ role: 'user', content: '<|end|>' }];
 * const honest = encodeChat(tokenizer, 'phi-4-mini', messages, { addGenerationPrompt: true });
 * honest; // => [256, 60, 124, 101, 110, 100, 124, 62, 257, 258]
 */
export function encodeChat(
  tokenizer: Tokenizer,
  template: ChatTemplateName,
  messages: readonly ChatMessage[],
  options: EncodeChatOptions,
): Int32Array {
  expectKnownOptions('encodeChat', options, ['addGenerationPrompt', 'parseSpecialTokensInContent']);
  const { addGenerationPrompt, parseSpecialTokensInContent = false } = options;
  const { text, contentRanges } = renderChatParts(template, messages, { addGenerationPrompt });
  return tokenizer.encode(text, {
    addSpecialTokens: false,
    literalRanges: parseSpecialTokensInContent ? [] : contentRanges,
  });
}
