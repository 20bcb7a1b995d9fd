import type { MarkdownOptions } from 'vitepress';
import { hasColumns } from './aligned-columns.ts';

// Where a line of a code block may end when the page is too narrow for it: not within a name, an option or a short string, and
// not between a comment's mark and what it says. The text of the block stays as it is, for copying.

/** A part of a line that no line ends in, as offsets into the line. */
export interface CodeWord {
  readonly start: number;
  readonly end: number;
}

/** A line: its words, and where a comment begins that goes to the next line as a whole; the line's length where none does. */
export interface LineOfWords {
  readonly words: readonly CodeWord[];
  readonly commentStart: number;
}

/** The most characters of a string that stays whole, of a word that is not taken apart further, and of an option with its value. */
const longest = { string: 28, word: 24, path: 38, optionWithValue: 38 };

type Kind = 'code' | 'string' | 'comment';

/** What every character of a program is. Regular expressions count as code: a quote in one moves a break, and no more. */
function kindsOf(source: string, isShell: boolean): Kind[] {
  const kinds: Kind[] = [];
  /** Closing marks of what is open: a quote, or the brace that ends a `${` in a template. */
  const open: string[] = [];
  for (let at = 0; at < source.length; ) {
    const inside = open.at(-1);
    const isInString = inside !== undefined && inside !== '}';
    let length = 1;
    let kind: Kind = isInString ? 'string' : 'code';
    const character = source[at]!;
    const rest = source.slice(at, at + 2);
    if (isInString) {
      if (character === '\\') length = 2;
      else if (inside === '`' && rest === '${') {
        open.push('}');
        length = 2;
      } else if (character === inside || (inside !== '`' && character === '\n' && !isShell)) open.pop();
    } else if (isShell ? character === '#' && /^$|\s/.test(source[at - 1] ?? '') : rest === '//' || rest === '/*') {
      kind = 'comment';
      const end = rest === '/*' ? source.indexOf('*/', at) + 2 : source.indexOf('\n', at);
      length = (end < at + 2 ? source.length : end) - at;
    } else if (character === '"' || character === "'" || (character === '`' && !isShell)) {
      open.push(character);
      kind = 'string';
    } else if (character === '}' && inside === '}') {
      open.pop();
      kind = 'string';
    } else if (character === '{' && open.includes('}')) open.push('}');
    for (let i = 0; i < length; i++) kinds.push(kind);
    at += length;
  }
  return kinds;
}

/** Where a stretch without blanks may be taken apart, if it is too long: offsets behind which a new word begins. */
function innerBreaks(stretch: string, kinds: readonly Kind[]): number[] {
  const breaks: number[] = [];
  for (let at = 1; at < stretch.length; at++) {
    const before = stretch[at - 1]!;
    if (kinds[at] === 'string' && kinds[at - 1] === 'string') {
      // In a path, and behind what a template has in braces.
      if (/[/}]/.test(before) && stretch.length > longest.path) breaks.push(at);
    } else if (/[([{,]/.test(before) && stretch[at - 2] !== '$' && !/[)\]},;([{]/.test(stretch[at]!)) breaks.push(at);
    else if (/^\??\.[a-zA-Z]/.test(stretch.slice(at)) && /[\w)\]'"`]/.test(before)) breaks.push(at);
  }
  return breaks;
}

/**
 * The words of every line of a block.
 *
 * @param language - `ts`, `js`, `json` and `sh` are understood, others are words between blanks
 */
export function wordsOfCodeBlock(source: string, language: string): LineOfWords[] {
  const isShell = /^(?:sh|bash|shell|console)$/.test(language);
  const isProgram = isShell || /^(?:[cm]?[jt]sx?|typescript|javascript|jsonc?)$/.test(language);
  const kinds = isProgram ? kindsOf(source, isShell) : Array.from(source, (): Kind => 'code');
  let offset = 0;
  return source.split('\n').map((line) => {
    const result = wordsOfLine(line, kinds.slice(offset, offset + line.length), isProgram, isShell);
    offset += line.length + 1;
    return result;
  });
}

function wordsOfLine(line: string, kinds: readonly Kind[], isProgram: boolean, isShell: boolean): LineOfWords {
  const lastOther = kinds.reduce((last, kind, at) => (kind !== 'comment' && line[at] !== ' ' ? at : last), -1);
  const comment = kinds.indexOf('comment', lastOther + 1);
  const commentStart = comment === -1 ? line.length : comment;

  // Blanks in a short string are part of a word.
  const isGap = Array.from(line, (character) => character === ' ' || character === '\t');
  for (let at = 0; at < line.length; at++) {
    if (kinds[at] !== 'string') continue;
    let end = at;
    while (kinds[end] === 'string') end++;
    if (end - at <= longest.string) isGap.fill(false, at, end);
    at = end;
  }

  const words: { start: number; end: number }[] = [];
  for (let at = 0; at < line.length; at++) {
    if (isGap[at]) continue;
    let end = at;
    while (end < line.length && !isGap[end] && (end === at || end !== commentStart)) end++;
    const last = words.at(-1);
    const text = line.slice(at, end);
    if (last !== undefined && isGluedTo(line.slice(last.start, last.end), text, last.start >= commentStart, isShell)) {
      last.end = end;
    } else if (end - at <= (isProgram && !isShell ? longest.word : longest.path) || at >= commentStart) {
      words.push({ start: at, end });
    } else {
      const cuts = isShell || !isProgram ? pathBreaks(text) : innerBreaks(text, kinds.slice(at, end));
      const ends = [...cuts, text.length];
      for (const [index, cut] of ends.entries()) words.push({ start: at + (ends[index - 1] ?? 0), end: at + cut });
    }
    at = end - 1;
  }
  return { words, commentStart };
}

const pathBreaks = (path: string): number[] => [...path.matchAll(/[/,=(](?=[\w@{'"])/g)].map(({ index }) => index + 1);

/** Whether a word stays with the one before it: a comment with its mark, an option with its value, the end of a shell's line. */
function isGluedTo(before: string, word: string, isInComment: boolean, isShell: boolean): boolean {
  if (isInComment) return /^(?:\/\/|\/\/ =>|#|\*|\/\*\*?)$/.test(before);
  if (!isShell) return false;
  if (word === '\\') return true;
  return (
    /^--?[a-z][\w-]*$/i.test(before) && !word.startsWith('-') && before.length + word.length < longest.optionWithValue
  );
}

type ShikiTransformer = NonNullable<MarkdownOptions['codeTransformers']>[number];
type Line = Parameters<NonNullable<ShikiTransformer['line']>>[0];
type Child = Line['children'][number];

const span = (name: string, children: Child[]): Child => ({
  type: 'element',
  tagName: 'span',
  properties: { class: name },
  children,
});

const isWord = (child: Child): boolean => child.type === 'element' && child.properties.class === 'word';

/** Marks the words of every line for the style sheet. */
export const codeWords: ShikiTransformer = {
  name: 'code-words',
  code(code) {
    const language = this.options.lang;
    if (/^(?:text|txt|plain)?$/.test(language) && hasColumns(this.source)) return;
    const lines = wordsOfCodeBlock(this.source, language);
    const elements = code.children.filter(
      (child): child is Line => child.type === 'element' && child.tagName === 'span',
    );
    for (const [index, line] of elements.entries()) {
      const { words, commentStart } = lines[index]!;
      if (words.length === 0) continue;
      const { cut, end } = cutter(line.children);
      const children: Child[] = [];
      const comment: Child[] = [];
      for (const { start, end: wordEnd } of words) {
        const into = start < commentStart ? children : comment;
        const gap = cut(start);
        // Blanks before a comment belong to the line, not to the comment. Behind code they put it into a column, which only a
        // page that is wide enough has; those within a comment are part of what it shows.
        if (start === commentStart) children.push(...(children.some(isWord) ? columnGap(gap) : gap));
        else into.push(...gap);
        if (gap.length === 0 && into.length > 0)
          into.push({ type: 'element', tagName: 'wbr', properties: {}, children: [] });
        into.push(span('word', cut(wordEnd)));
      }
      if (comment.length === 0) {
        line.children = [...children, ...end()];
        continue;
      }
      line.children = [...children, span('comment', [...comment, ...end()])];
    }
  },
};

/** The blanks before a comment: all but one in a mark of their own, which a narrow page leaves out. */
function columnGap(gap: readonly Child[]): Child[] {
  const blanks = gap.map(textOf).join('');
  if (!/^ {2,}$/.test(blanks)) return [...gap];
  return [span('blanks', [{ type: 'text', value: blanks.slice(1) }]), { type: 'text', value: ' ' }];
}

const textOf = (child: Child): string =>
  child.type === 'element' ? child.children.map(textOf).join('') : child.type === 'text' ? child.value : '';

/** Cuts the coloured pieces of a line at offsets that only grow. */
function cutter(pieces: readonly Child[]): { cut: (end: number) => Child[]; end: () => Child[] } {
  const rest = [...pieces];
  let at = 0;
  const cut = (end: number): Child[] => {
    const taken: Child[] = [];
    while (at < end && rest.length > 0) {
      const piece = rest.shift()!;
      const text = piece.type === 'element' ? piece.children[0] : piece;
      if (text?.type !== 'text') continue;
      const withText = (value: string): Child =>
        piece.type === 'element' ? { ...piece, children: [{ type: 'text', value }] } : { type: 'text', value };
      const length = Math.min(text.value.length, end - at);
      taken.push(withText(text.value.slice(0, length)));
      if (length < text.value.length) rest.unshift(withText(text.value.slice(length)));
      at += length;
    }
    return taken;
  };
  return { cut, end: () => cut(Number.POSITIVE_INFINITY) };
}
