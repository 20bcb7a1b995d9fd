/** A code fence of a Markdown page. */
export interface Fence {
  /** `ts`, `sh`, `text`, … */
  readonly language: string;
  /** Marked `no-run`: only compiled (`ts`) or only read (`sh`). */
  readonly isRun: boolean;
  readonly code: string;
  /** Of the opening line, counted from 1. */
  readonly line: number;
  /** The `text` fence that follows with nothing but white space between: what the code prints. */
  readonly printed: string | undefined;
}

/**
 * The fences of a page, in order. A `text` fence directly behind a `ts` or `sh` fence is the output of that fence and no
 * fence by itself.
 *
 * @throws Error for a word behind the language that is not `no-run`
 */
export function fencesOf(page: string): Fence[] {
  const fences: Fence[] = [];
  let endOfLast = -1;
  for (const match of page.matchAll(/^```(\w+)([^\n]*)\n(.*?)^```$/gms)) {
    const [whole, language = '', words = '', code = ''] = match;
    const line = page.slice(0, match.index).split('\n').length;
    if (!['', 'no-run'].includes(words.trim())) throw new Error(`line ${line}: a fence may be no-run, not${words}`);
    const last = fences.at(-1);
    const followsCode = last !== undefined && ['ts', 'sh'].includes(last.language) && last.printed === undefined;
    if (language === 'text' && followsCode && page.slice(endOfLast, match.index).trim() === '') {
      fences[fences.length - 1] = { ...last, printed: code };
    } else {
      fences.push({ language, isRun: words.trim() !== 'no-run', code, line, printed: undefined });
    }
    endOfLast = match.index + whole.length;
  }
  return fences;
}

/**
 * Whether a text is what a page says that its code prints. In the page `…` stands for anything within a line: a time, a path.
 */
export function isPrinted(actual: string, expected: string): boolean {
  const [got, wanted] = [linesOf(actual), linesOf(expected)];
  return got.length === wanted.length && wanted.every((line, index) => isLine(got[index]!, line));
}

/** What a page should say instead: what was printed, but for lines that are right as they are, with their `…`. */
export function corrected(actual: string, expected: string): string {
  const wanted = linesOf(expected);
  const lines = linesOf(actual).map((got) => wanted.find((line) => isLine(got, line)) ?? got);
  return `${lines.join('\n')}\n`;
}

function linesOf(text: string): string[] {
  return text
    .replace(/\n+$/, '')
    .split('\n')
    .map((line) => line.trimEnd());
}

function isLine(got: string, wanted: string): boolean {
  const pattern = wanted
    .split('…')
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*');
  return new RegExp(`^${pattern}$`).test(got);
}
