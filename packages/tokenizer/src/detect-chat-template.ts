import type { ChatTemplateName } from './chat-templates.ts';
import { tokenizerError } from './errors.ts';

/** Templates are a few hundred characters long; nothing near this can be a published one. */
const longestTemplate = 4096;

/**
 * The name of a published chat template, recognised by its Jinja text. Templates from files are never run: the text is
 * compared, with line breaks written either way and white space at both ends left out.
 *
 * Phi-3.5-MoE has the text of Phi-3.5-mini, and Phi-3.5-vision that of Phi-3-vision; the names returned are
 * `'phi-3.5-mini'` and `'phi-3-vision'`.
 *
 * @param source - `chat_template` of `tokenizer_config.json`, `chat_template.jinja`, or `tokenizer.chat_template` of a GGUF
 * @throws Phi3Error `TK_CHAT_TEMPLATE` for any other text
 * @example
 * const turns = "{% for message in messages %}{{'<|' + message['role'] + '|>' + '\n' + message['content'] + '<|end|>\n' }}{% endfor %}";
 * const opening = "{% if add_generation_prompt and messages[-1]['role'] != 'assistant' %}{{- '<|assistant|>\n' -}}{% endif %}";
 * detectChatTemplate(turns + opening); // => 'phi-3-vision'
 */
export function detectChatTemplate(source: string): ChatTemplateName {
  if (typeof source === 'string' && source.length <= longestTemplate) {
    // JSON and Jinja both may write a line break as backslash and n.
    const text = source.replaceAll('\\n', '\n').trim();
    for (const [name, published] of publishedTemplates()) if (text === published) return name;
  }
  throw tokenizerError({
    code: 'TK_CHAT_TEMPLATE',
    function: 'detectChatTemplate',
    argument: 'source',
    expected: 'a published chat template',
    got: source,
    hint: 'Templates from files are not run here. Name the template that the model was trained on, or render the chat yourself and encode the text.',
  });
}

function publishedTemplates(): [ChatTemplateName, string][] {
  const turn = (role: string): string => `{{'<|${role}|>\n' + message['content'] + '<|end|>\n'}}`;
  const knownRoles = (systemCondition: string): string =>
    `{% for message in messages %}{% if ${systemCondition} %}${turn('system')}` +
    `{% elif message['role'] == 'user' %}${turn('user')}` +
    `{% elif message['role'] == 'assistant' %}${turn('assistant')}{% endif %}{% endfor %}` +
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}";
  const opensAnswers =
    "{% for message in messages %}{% if (message['role'] == 'user') %}" +
    "{{'<|user|>' + '\n' + message['content'] + '<|end|>' + '\n' + '<|assistant|>' + '\n'}}" +
    "{% elif (message['role'] == 'assistant') %}{{message['content'] + '<|end|>' + '\n'}}{% endif %}{% endfor %}";
  const anyRole =
    "{% for message in messages %}{{'<|' + message['role'] + '|>' + '\n' + message['content'] + '<|end|>\n' }}" +
    '{% endfor %}';
  return [
    ['phi-3-mini', knownRoles("message['role'] == 'system'")],
    ['phi-3.5-mini', knownRoles("message['role'] == 'system' and message['content']")],
    ['phi-3-mini-first-release', `{{ bos_token }}${opensAnswers}`],
    ['phi-3-medium', opensAnswers],
    [
      'phi-3-small',
      `{{ bos_token }}${anyRole}` +
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}",
    ],
    [
      'phi-3-vision',
      `${anyRole}{% if add_generation_prompt and messages[-1]['role'] != 'assistant' %}` +
        "{{- '<|assistant|>\n' -}}{% endif %}",
    ],
    [
      'phi-4-mini',
      "{% for message in messages %}{% if message['role'] == 'system' and 'tools' in message and message['tools'] is not none %}" +
        "{{ '<|' + message['role'] + '|>' + message['content'] + '<|tool|>' + message['tools'] + '<|/tool|>' + '<|end|>' }}" +
        "{% else %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endif %}{% endfor %}" +
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}",
    ],
  ];
}
