import { parseStrictJson } from '@phiblocks/weights';

/**
 * The text of the chat template in a `tokenizer_config.json`: `chat_template` as a text, or the one named `default` in a
 * list of named templates. Undefined where there is none. The text is only compared with published ones, never run.
 */
export function chatTemplateSource(tokenizerConfig: Uint8Array): string | undefined {
  const config = parseStrictJson(tokenizerConfig, {
    function: 'openCheckpoint',
    file: 'tokenizer_config.json',
    maxDepth: 16,
    codes: {
      utf8: 'CHECKPOINT_JSON',
      syntax: 'CHECKPOINT_JSON',
      depth: 'CHECKPOINT_JSON',
      duplicate: 'CHECKPOINT_JSON',
    },
  });
  if (!(config instanceof Map)) return undefined;
  const template = config.get('chat_template');
  if (typeof template === 'string') return template;
  if (!Array.isArray(template)) return undefined;
  for (const named of template) {
    if (!(named instanceof Map) || named.get('name') !== 'default') continue;
    const text = named.get('template');
    if (typeof text === 'string') return text;
  }
  return undefined;
}
