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

/** Names and dates whose hyphen is no place to end a line. */
const whole = /\b(?:\d{4}-\d\d-\d\d|PF-\d\d|Phi-\d(?:\.\d)?)/;

/** The markdown-it plugin that keeps both in one line, in everything but code; names and dates not in headings, which become addresses. */
export function unbreakableUnits(markdown: MarkdownRenderer): void {
  markdown.core.ruler.push('unbreakable-units', (state) => {
    for (const [index, block] of state.tokens.entries()) {
      if (!block.children) continue;
      const isHeading = state.tokens[index - 1]?.type === 'heading_open';
      block.children = block.children.flatMap((token) => {
        if (token.type !== 'text') return [token];
        token.content = withUnbreakableUnits(token.content);
        if (isHeading || !whole.test(token.content)) return [token];
        return token.content.split(new RegExp(`(${whole.source})`)).map((part) => {
          const isWhole = whole.test(part);
          const made = new state.Token(isWhole ? 'html_inline' : 'text', '', 0);
          made.content = isWhole ? `<span class="whole">${part}</span>` : part;
          return made;
        });
      });
    }
  });
}
