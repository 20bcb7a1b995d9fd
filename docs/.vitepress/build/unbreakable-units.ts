import type { MarkdownRenderer } from 'vitepress';

const units = [
  '%',
  's',
  'ms',
  'µs',
  'min',
  'B',
  'kB',
  'KB',
  'MB',
  'GB',
  'KiB',
  'MiB',
  'GiB',
  'GB/s',
  'G',
  'GMAC/s',
  'tok/s',
];
const behindNumber = new RegExp(`(?<=\\d) (?=(?:${units.join('|')})(?![\\w/]))`, 'g');

/** A number and its unit, held together by a space at which no line ends: narrow tables break at every other. */
export function withUnbreakableUnits(text: string): string {
  return text.replace(behindNumber, '\u00a0').replace(/\b([A-Z]) \+ 1\b/g, '$1\u00a0+\u00a01');
}

/** The markdown-it plugin that does it in everything but code. */
export function unbreakableUnits(markdown: MarkdownRenderer): void {
  markdown.core.ruler.push('unbreakable-units', (state) => {
    for (const block of state.tokens) {
      for (const token of block.children ?? []) {
        if (token.type === 'text') token.content = withUnbreakableUnits(token.content);
      }
    }
  });
}
