import { ArgumentError, expectKnownOptions } from '@phiblocks/tensor';
import { tokenizerError } from './errors.ts';

/** One message of a chat. Other properties are ignored, as the published templates ignore them. */
export interface ChatMessage {
  role: string;
  content: string;
  /** Tool definitions as JSON text in a system message; only Phi-4-mini's template reads it. */
  tools?: string | null;
}

/** The published chat templates, by the checkpoint that brought them. */
export type ChatTemplateName =
  | 'phi-3-mini-first-release'
  | 'phi-3-mini'
  | 'phi-3-medium'
  | 'phi-3-small'
  | 'phi-3-vision'
  | 'phi-3.5-mini'
  | 'phi-3.5-moe'
  | 'phi-3.5-vision'
  | 'phi-4-mini';

export interface ChatOptions {
  /** End with the opening of an answer. Templates that always (`phi-3-medium`) or never do it do so whatever this says. */
  addGenerationPrompt: boolean;
}

/** A rendered chat that still knows what its authors wrote. */
export interface RenderedChat {
  text: string;
  /** Ranges `[start, end)` of `text` that came out of messages, ascending: the `literalRanges` of `encode`. */
  contentRanges: [start: number, end: number][];
}

/** How a family of templates prints messages. */
interface TemplateRules {
  /** Printed first and last. */
  bos: string;
  eos: string;
  style: 'known-roles' | 'opens-answers' | 'any-role';
  /** Between a role and its content, and after `<|end|>`. */
  newline: string;
  skipsEmptySystem?: boolean;
  /** Opens the answer only where the last message is not the assistant's; fails on an empty list. */
  looksAtLastRole?: boolean;
  readsTools?: boolean;
}

/** Published templates as tables; each is checked against its Jinja text by the chat goldens. */
function rulesOf(template: ChatTemplateName, functionName: string): TemplateRules {
  switch (template) {
    case 'phi-3-mini':
      return { bos: '', eos: '<|endoftext|>', style: 'known-roles', newline: '\n' };
    case 'phi-3.5-mini':
    case 'phi-3.5-moe':
      return { bos: '', eos: '<|endoftext|>', style: 'known-roles', newline: '\n', skipsEmptySystem: true };
    case 'phi-3-mini-first-release':
      return { bos: '<s>', eos: '', style: 'opens-answers', newline: '\n' };
    case 'phi-3-medium':
      return { bos: '', eos: '', style: 'opens-answers', newline: '\n' };
    case 'phi-3-small':
      return { bos: '<|endoftext|>', eos: '<|endoftext|>', style: 'any-role', newline: '\n' };
    case 'phi-3-vision':
    case 'phi-3.5-vision':
      return { bos: '', eos: '', style: 'any-role', newline: '\n', looksAtLastRole: true };
    case 'phi-4-mini':
      return { bos: '', eos: '<|endoftext|>', style: 'any-role', newline: '', readsTools: true };
    default:
      throw tokenizerError({
        code: 'TK_CHAT_TEMPLATE',
        function: functionName,
        argument: 'template',
        expected: 'the name of a published template',
        got: template,
      });
  }
}

/**
 * A chat as the text that the checkpoint was trained on, equal to what its published Jinja template gives.
 *
 * Nothing in messages is escaped, so text in them can look like the template's own tokens: encode with
 * {@link encodeChat}, which knows them apart, rather than this text as a whole.
 *
 * Source: `chat_template` in `tokenizer_config.json` of each checkpoint.
 *
 * @throws Phi3Error `TK_CHAT_MESSAGE` where the template would fail: content that is not text, a missing role that is
 *   printed, an empty list for the vision templates; `TK_CHAT_TEMPLATE`, `ARGUMENT`, `OPTION_UNKNOWN`
 * @example
 * const messages = [{ role: 'user', content: 'Hello' }];
 * renderChat('phi-3-mini', messages, { addGenerationPrompt: true }); // => '<|user|>\nHello<|end|>\n<|assistant|>\n'
 * renderChat('phi-4-mini', messages, { addGenerationPrompt: true }); // => '<|user|>Hello<|end|><|assistant|>'
 */
export function renderChat(template: ChatTemplateName, messages: readonly ChatMessage[], options: ChatOptions): string {
  return renderChatParts(template, messages, options).text;
}

/**
 * {@link renderChat}, and which parts of the text came out of messages.
 *
 * @throws Phi3Error as {@link renderChat}
 * @example
 * const chat = renderChatParts('phi-3-mini', [{ role: 'user', content: 'Hi' }], { addGenerationPrompt: true });
 * chat.contentRanges; // => [[9, 11]]
 */
export function renderChatParts(
  template: ChatTemplateName,
  messages: readonly ChatMessage[],
  options: ChatOptions,
): RenderedChat {
  const functionName = 'renderChat';
  const rules = rulesOf(template, functionName);
  expectKnownOptions(functionName, options, ['addGenerationPrompt']);
  const { addGenerationPrompt } = options;
  if (typeof addGenerationPrompt !== 'boolean')
    throw new ArgumentError({
      function: functionName,
      argument: 'addGenerationPrompt',
      expected: 'true or false',
      got: addGenerationPrompt,
    });
  if (!Array.isArray(messages)) fail('messages', 'an array of messages', messages);

  const chat: RenderedChat = { text: rules.bos, contentRanges: [] };
  const print = (text: string): void => {
    chat.text += text;
  };
  const printLiterally = (value: unknown, key: string): void => {
    if (typeof value !== 'string') fail(key, 'text', value);
    const start = chat.text.length;
    chat.text += value;
    chat.contentRanges.push([start, chat.text.length]);
  };

  for (const [index, message] of messages.entries()) {
    if (typeof message !== 'object' || message === null) fail(`messages[${index}]`, 'a message', message);
    const { role, content, tools } = message as ChatMessage;
    const contentKey = `messages[${index}].content`;
    const isKnown = role === 'system' || role === 'user' || role === 'assistant';
    if (rules.style === 'opens-answers') {
      // A user message opens the answer at once, an assistant message only continues it, a system message vanishes.
      if (role !== 'user' && role !== 'assistant') continue;
      if (role === 'user') print('<|user|>\n');
      printLiterally(content, contentKey);
      print(role === 'user' ? '<|end|>\n<|assistant|>\n' : '<|end|>\n');
      continue;
    }
    if (rules.style === 'known-roles') {
      if (!isKnown) continue; // skipped in silence, as published
      if (role === 'system' && rules.skipsEmptySystem && isFalsy(content)) continue;
    }
    print('<|');
    // A role that is not the template's own word is as foreign as content: `<|endoftext|>` must not come out of it.
    if (isKnown) print(role);
    else printLiterally(role, `messages[${index}].role`);
    print(`|>${rules.newline}`);
    printLiterally(content, contentKey);
    if (rules.readsTools && role === 'system' && tools !== undefined && tools !== null) {
      print('<|tool|>');
      printLiterally(tools, `messages[${index}].tools`);
      print('<|/tool|>');
    }
    print(`<|end|>${rules.newline}`);
  }

  if (rules.style === 'opens-answers') return chat;
  if (addGenerationPrompt) {
    const last = messages.at(-1);
    if (rules.looksAtLastRole && last === undefined) fail('messages', 'at least one message', messages);
    if (!rules.looksAtLastRole || last!.role !== 'assistant') print(`<|assistant|>${rules.newline}`);
  } else {
    print(rules.eos);
  }
  return chat;
}

/**
 * Ids that end an answer, as published; the single `eos_token_id` of `config.json` is not enough.
 *
 * Source: `generation_config.json` of each checkpoint.
 *
 * @throws Phi3Error `TK_CHAT_TEMPLATE`
 * @example
 * stopTokenIds('phi-3-mini'); // => [32000, 32001, 32007]
 */
export function stopTokenIds(template: ChatTemplateName): number[] {
  rulesOf(template, 'stopTokenIds');
  switch (template) {
    case 'phi-3-small':
      return [100257, 100266];
    case 'phi-4-mini':
      return [199999, 200020];
    case 'phi-3-vision':
    case 'phi-3.5-vision':
      return [2, 32000, 32001, 32007];
    default:
      return [32000, 32001, 32007];
  }
}

/** What Jinja takes for false among the values that JSON can hold. */
function isFalsy(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0;
  return !value;
}

function fail(key: string, expected: string, got: unknown): never {
  throw tokenizerError({ code: 'TK_CHAT_MESSAGE', function: 'renderChat', expected, got, where: { key } });
}
