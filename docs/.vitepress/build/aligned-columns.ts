import type { MarkdownRenderer } from 'vitepress';

/** Whether a text has columns, which a line break would take apart: two spaces or more between words. */
export function hasColumns(text: string): boolean {
  return /\S {2,}\S/.test(text);
}

/** The markdown-it plugin that marks what programs print in columns with the class `has-columns`. */
export function alignedColumns(markdown: MarkdownRenderer): void {
  const render = markdown.renderer.rules.fence!;
  markdown.renderer.rules.fence = (tokens, index, ...more) => {
    const { info, content } = tokens[index]!;
    const html = render(tokens, index, ...more);
    const isText = ['', 'text'].includes(info.trim());
    return isText && hasColumns(content) ? html.replace('<div class="', '<div class="has-columns ') : html;
  };
}
