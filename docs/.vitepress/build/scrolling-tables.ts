import type { MarkdownRenderer } from 'vitepress';

/** What a column holds, which says how narrow it may become. */
export type ColumnKind = 'numbers' | 'words' | 'phrases' | 'sentences' | 'paragraphs';

const number = /^[<≤≈~+−-]*\d[\d,.]*(?:e-?\d+)?(?:\s?(?:%|[a-zµ]{1,2}|[kKMG]i?B|G|MB\/s|GB\/s|tok\/s))?$/;

/**
 * The kind of a column, by its longest cell. Cells without anything and dashes say nothing.
 *
 * @param cells - the texts of its cells, without the head
 */
export function kindOfColumn(cells: readonly string[]): ColumnKind {
  const full = cells.map((cell) => cell.trim()).filter((cell) => !['', '–', '-', '—'].includes(cell));
  const longest = Math.max(0, ...full.map(({ length }) => length));
  if (full.length > 0 && full.every((cell) => number.test(cell))) return 'numbers';
  if (longest <= 16) return 'words';
  if (longest <= 44) return 'phrases';
  return longest <= 110 ? 'sentences' : 'paragraphs';
}

/** The markdown-it plugin that gives tables a box of their own to scroll in, and their columns a least width. */
export function scrollingTables(markdown: MarkdownRenderer): void {
  markdown.core.ruler.push('scrolling-tables', (state) => {
    let heading = '';
    let rows: (typeof state.tokens)[] = [];
    let table: (typeof state.tokens)[number] | undefined;
    for (const [index, token] of state.tokens.entries()) {
      const text = (state.tokens[index + 1]?.children ?? []).map(({ content }) => content).join('');
      if (token.type === 'heading_open') heading = text.trim();
      else if (token.type === 'table_open') {
        rows = [];
        token.meta = { label: heading === '' ? 'Table' : `Table: ${heading}` };
        table = token;
      } else if (token.type === 'tr_open') rows.push([]);
      else if (token.type === 'th_open' || token.type === 'td_open') {
        token.meta = { text };
        rows.at(-1)!.push(token);
      } else if (token.type === 'table_close') {
        table!.meta.hasFewColumns = rows[0]!.length <= 3;
        for (const column of rows[0]?.keys() ?? []) {
          const cells = rows.flatMap((row) => row[column] ?? []);
          const kind = kindOfColumn(cells.slice(1).map((cell) => cell.meta.text));
          for (const cell of cells) cell.attrJoin('class', kind);
        }
      }
    }
  });
  markdown.renderer.rules.table_open = (tokens, index) => {
    const { label: text, hasFewColumns } = tokens[index]!.meta;
    const label = markdown.utils.escapeHtml(text);
    return `<div class="table-box${hasFewColumns ? ' few-columns' : ''}" role="region" tabindex="0" aria-label="${label}">\n<table>\n`;
  };
  markdown.renderer.rules.table_close = () => '</table>\n</div>\n';
}
