import type { TokenizerErrorCode } from './errors.ts';
import { isJsonObject, type JsonObject, own, reject as rejectJson } from './json-values.ts';

const functionName = 'parseTokenizerJson';
const deepestNesting = 16;
const metaspace = '\u2581';

/**
 * The components of a `tokenizer.json`, `Sequence`s taken apart, each with its path.
 *
 * @param listKey - what the list in a `Sequence` is called
 */
function flatten(component: unknown, path: string, listKey: string, depth = 0): { path: string; value: JsonObject }[] {
  if (component === undefined || component === null) return [];
  if (depth > deepestNesting) reject('TK_DEPTH', path, `at most ${deepestNesting} levels of Sequence`, 'more');
  if (!isJsonObject(component)) reject('TK_COMPONENT', path, 'an object', component);
  refuseRegex(component, path);
  if (own(component, 'type') !== 'Sequence') return [{ path, value: component }];
  const list = own(component, listKey);
  if (!Array.isArray(list)) reject('TK_COMPONENT', `${path}.${listKey}`, 'an array', list);
  return list.flatMap((item, index) => flatten(item, `${path}.${listKey}[${index}]`, listKey, depth + 1));
}

/** Regular expressions come as `pattern: { Regex: "…" }`. A backtracking engine may take for ever on them. */
function refuseRegex(component: JsonObject, path: string): void {
  const pattern = own(component, 'pattern');
  if (!isJsonObject(pattern) || !Object.hasOwn(pattern, 'Regex')) return;
  reject(
    'TK_REGEX',
    `${path}.pattern`,
    'a literal string',
    own(pattern, 'Regex'),
    'Regular expressions from files are never run.',
  );
}

function isReplace(value: JsonObject, from: string, to: string): boolean {
  const pattern = own(value, 'pattern');
  return (
    own(value, 'type') === 'Replace' &&
    isJsonObject(pattern) &&
    own(pattern, 'String') === from &&
    own(value, 'content') === to
  );
}

/** Accepts `Prepend "▁"` (or none) and `Replace " " → "▁"`, in any order and nesting. */
export function parseNormalizer(normalizer: unknown): { addPrefix: boolean } {
  let addPrefix = false;
  let replacesSpaces = false;
  for (const { path, value } of flatten(normalizer, 'normalizer', 'normalizers')) {
    if (own(value, 'type') === 'Prepend' && own(value, 'prepend') === metaspace && !addPrefix) addPrefix = true;
    else if (isReplace(value, ' ', metaspace)) replacesSpaces = true;
    else reject('TK_COMPONENT', path, 'one Prepend of "▁" and Replace of " " by "▁"', own(value, 'type'));
  }
  if (!replacesSpaces) reject('TK_COMPONENT', 'normalizer', 'Replace of " " by "▁"', 'none');
  return { addPrefix };
}

export function requireNoPreTokenizer(preTokenizer: unknown): void {
  for (const { path, value } of flatten(preTokenizer, 'pre_tokenizer', 'pretokenizers'))
    reject('TK_COMPONENT', path, 'no pre-tokenizer', own(value, 'type'));
}

/** Accepts Replace "▁" → " ", ByteFallback, Fuse and, at the end, possibly Strip of one leading space. */
export function parseDecoder(decoder: unknown): { stripFirstSpace: boolean } {
  const parts = flatten(decoder, 'decoder', 'decoders');
  const strip = parts[3]?.value;
  const wellFormed =
    (parts.length === 3 || parts.length === 4) &&
    isReplace(parts[0]!.value, metaspace, ' ') &&
    own(parts[1]!.value, 'type') === 'ByteFallback' &&
    own(parts[2]!.value, 'type') === 'Fuse' &&
    (strip === undefined ||
      (own(strip, 'type') === 'Strip' &&
        own(strip, 'content') === ' ' &&
        own(strip, 'start') === 1 &&
        own(strip, 'stop') === 0));
  if (!wellFormed)
    reject(
      'TK_COMPONENT',
      'decoder',
      'Replace of "▁" by " ", ByteFallback, Fuse and at most Strip of one leading space',
      parts.map(({ value }) => own(value, 'type')),
    );
  return { stripFirstSpace: strip !== undefined };
}

/** Accepts none, or `TemplateProcessing` with tokens before and after the one sequence. */
export function parsePostProcessor(
  postProcessor: unknown,
  idOf: (token: string) => number | undefined,
): { prefixIds: number[]; suffixIds: number[] } {
  const prefixIds: number[] = [];
  const suffixIds: number[] = [];
  const parts = flatten(postProcessor, 'post_processor', 'processors');
  if (parts.length === 0) return { prefixIds, suffixIds };
  const { path, value } = parts[0]!;
  const single = own(value, 'single');
  if (parts.length > 1 || own(value, 'type') !== 'TemplateProcessing' || !Array.isArray(single))
    reject('TK_COMPONENT', path, 'at most one TemplateProcessing', own(value, 'type'));
  let seenSequence = false;
  for (const [index, item] of single.entries()) {
    const itemPath = `${path}.single[${index}]`;
    if (isJsonObject(item) && Object.hasOwn(item, 'Sequence') && !seenSequence) {
      seenSequence = true;
      continue;
    }
    const special = isJsonObject(item) ? own(item, 'SpecialToken') : undefined;
    const name = isJsonObject(special) ? own(special, 'id') : undefined;
    const id = typeof name === 'string' ? idOf(name) : undefined;
    if (id === undefined) reject('TK_COMPONENT', itemPath, 'one Sequence and special tokens that exist', name);
    (seenSequence ? suffixIds : prefixIds).push(id);
  }
  if (!seenSequence) reject('TK_COMPONENT', `${path}.single`, 'one Sequence', 'none');
  return { prefixIds, suffixIds };
}

function reject(code: TokenizerErrorCode, key: string, expected: string, got: unknown, hint?: string): never {
  rejectJson(code, functionName, key, expected, got, hint);
}
