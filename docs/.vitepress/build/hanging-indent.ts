import type { MarkdownOptions } from 'vitepress';

type ShikiTransformer = NonNullable<MarkdownOptions['codeTransformers']>[number];

/** How far a line of code is indented, in characters. */
export function indentOf(line: string): number {
  return line.length - line.trimStart().length;
}

/** Tells the style sheet how far each line of code is indented, so that what breaks goes on as far in as if it were written so. */
export const hangingIndent: ShikiTransformer = {
  name: 'hanging-indent',
  line(node, line) {
    const indent = indentOf(this.source.split('\n')[line - 1] ?? '');
    if (indent > 0) node.properties.style = `--indent:${indent + 2}ch`;
  },
};
