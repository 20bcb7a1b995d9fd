import type { MarkdownRenderer } from 'vitepress';

// What a line of running text must not tear: a number and its unit, a name with hyphens, a short piece of code. Tokens keep
// what the page says, so that addresses of headings stay; only what is rendered has the marks.

/** A part of a text; no line ends in one that is whole. */
export interface TextPart {
  readonly text: string;
  readonly isWhole: boolean;
}

const units = [
  ...['%', 's', 'ms', 'µs', 'min', 'B', 'kB', 'KB', 'MB', 'GB', 'KiB', 'MiB', 'GiB', 'MB/s', 'GB/s', 'G', 'GMAC/s'],
  ...[
    'tok/s',
    'bits?',
    'bytes?',
    'tokens?',
    'seconds?',
    'minutes?',
    'hours?',
    'million',
    'billion',
    'times',
    'points?',
  ],
  ...['heads?', 'layers?', 'pixels?', 'threads?', 'steps?', 'kHz', 'to \\d'],
];
/** A space behind a number and before its unit. */
const beforeUnit = new RegExp(`(?<=\\d) (?=(?:${units.join('|')})(?![\\w/]))`, 'g');
/** Spaces of a calculation: 38 + 47, 4,096 × 256, W + 1. */
const inCalculation = /(?<=\d) ([×+−·/=]) (?=\d)|(?<=\b[A-Z]) ([+−]) (?=\d\b)/g;
/** A space between the name of a program or a document and its number. */
const beforeVersion = /(?<=\b(?:Node|Python|PyTorch|Chromium|Deno|Bun|Zen|Table|Figure|Phase|phase|level)) (?=\d)/g;

/** A text whose numbers are held together with their units by spaces at which no line ends. */
export function withUnbreakableUnits(text: string): string {
  return text
    .replace(beforeUnit, '\u00a0')
    .replace(inCalculation, (_match, between = '', behindLetter = '') => `\u00a0${between}${behindLetter}\u00a0`)
    .replace(/(?<=\d\u00a0(?:million|billion)) (?=tokens?\b)/g, '\u00a0')
    .replace(/(?<=\d\u00a0to) (?=\d)/g, '\u00a0')
    .replace(beforeVersion, '\u00a0')
    .replace(/ (?=§)/g, '\u00a0');
}

/** Dates, and names whose hyphens are no places to end a line. */
const names = [
  String.raw`\d{4}-\d\d-\d\d`,
  String.raw`PF-\d\d`,
  String.raw`[Pp]hi-\d(?:\.\d)?(?:-\w+)*`,
  String.raw`phi3-\w+(?:-\w+)*(?:/\w+)?`,
  String.raw`nano-\w+(?:-long)?`,
  String.raw`stories\d+[kK](?:-phi3)?`,
  String.raw`\d(?:\.\d+)?e-\d+`,
  ...['node-llama-cpp', 'llama-cpp', 'cli-progress', 'fast-png', 'libjpeg-turbo', 'js-tiktoken', 'gpt-tokenizer'],
  ...[String.raw`onnxruntime-\w+`, String.raw`backend-\w+`, '(?:top|typical|min|no-repeat-n)-(?:[kp]|gram)'],
  ...[
    '@huggingface/tokenizers',
    'BlueOak-[\\d.]+\\d',
    'x86-64',
    'UTF-\\d+',
    'Content-Security-Policy',
    'n-grams?',
    'Ctrl-C',
    '-?Infinity',
    'reference-checker',
  ],
];
const name = new RegExp(`(?<![\\w-])(?:${names.join('|')})(?![\\w-])`, 'g');

/** Takes a text apart at the names in it. */
export function partsOfText(text: string): TextPart[] {
  const parts: TextPart[] = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(name)) {
    if (index > end) parts.push({ text: text.slice(end, index), isWhole: false });
    parts.push({ text: found, isWhole: true });
    end = index + found.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end), isWhole: false });
  return parts;
}

/** The most characters of a word that stays whole where code is long: it fits beside the margins of a phone. */
const longestWord = 34;

/**
 * Takes long code apart: at its spaces, and words that are too long behind slashes, commas and opening brackets. Options and
 * names keep their hyphens.
 *
 * @returns its words, each with the spaces behind it; a line may end after each of them
 */
export function wordsOfCode(code: string): string[] {
  return (code.match(/\s*\S+\s*/g) ?? []).flatMap((word) =>
    word.length <= longestWord
      ? [word]
      : (word.match(/..+?(?:[/,([{](?![\])}])|$)|.+/gs) ?? []).filter((part) => part !== ''),
  );
}

type Place = 'text' | 'cell' | 'heading';
/** Up to how many characters code stays whole: in cells, which scroll, more; in headings, whose letters are larger, less. */
const longestWhole: Readonly<Record<Place, number>> = { text: 30, cell: 40, heading: 20 };

/** The markdown-it plugin that does it in everything but fences. */
export function wholeWords(markdown: MarkdownRenderer): void {
  const { escapeHtml } = markdown.utils;
  const rules = markdown.renderer.rules;

  markdown.core.ruler.push('whole-words', (state) => {
    for (const [index, block] of state.tokens.entries()) {
      const opening = state.tokens[index - 1]?.type ?? '';
      const place: Place = /^t[dh]_open$/.test(opening) ? 'cell' : opening === 'heading_open' ? 'heading' : 'text';
      for (const token of block.children ?? []) {
        if (token.type === 'code_inline') token.meta = { ...token.meta, place };
      }
    }
  });

  rules.text = (tokens, index) =>
    partsOfText(withUnbreakableUnits(tokens[index]!.content))
      .map(({ text, isWhole }) => (isWhole ? `<span class="whole">${escapeHtml(text)}</span>` : escapeHtml(text)))
      .join('');

  const renderCode = rules.code_inline!;
  rules.code_inline = (tokens, index, ...more) => {
    const token = tokens[index]!;
    const { place = 'text' }: { place?: Place } = token.meta ?? {};
    if (token.content.length <= longestWhole[place]) {
      token.attrJoin('class', 'whole');
      return renderCode(tokens, index, ...more);
    }
    const words = wordsOfCode(token.content).map((word) => {
      const html = escapeHtml(word.trimEnd());
      const isWhole = word.length <= (place === 'heading' ? longestWhole.heading : longestWord);
      const spaces = word.slice(word.trimEnd().length);
      return `${isWhole ? `<span class="whole">${html}</span>` : html}${spaces === '' ? '<wbr>' : spaces}`;
    });
    const [open, close] = renderCode(tokens, index, ...more).split(escapeHtml(token.content));
    return `${open}${words.join('').replace(/<wbr>$/, '')}${close}`;
  };
}
