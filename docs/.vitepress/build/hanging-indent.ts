import type { MarkdownOptions } from 'vitepress';

type ShikiTransformer = NonNullable<MarkdownOptions['codeTransformers']>[number];

/** How far a line of code is indented, in characters. */
export function indentOf(line: string): number {
  return line.length - line.trimStart().length;
}

/**
 * How far what does not fit into a line goes in, in characters: two more than the line, and as far as the line where it goes on
 * from a backslash, because its options stand there already.
 */
export function hangingIndentOf(lines: readonly string[], index: number): number {
  const indent = indentOf(lines[index] ?? '');
  return indent > 0 && (lines[index - 1] ?? '').endsWith(' \\') ? indent : indent + 2;
}

/** Tells the style sheet how far each line of code is indented, so that what breaks goes on as far in as if it were written so. */
export const hangingIndent: ShikiTransformer = {
  name: 'hanging-indent',
  line(node, line) {
    const lines = this.source.split('\n');
    if (indentOf(lines[line - 1] ?? '') === 0) return;
    node.properties.style = `--indent:${hangingIndentOf(lines, line - 1)}ch`;
  },
};
