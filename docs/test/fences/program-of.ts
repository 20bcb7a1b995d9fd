import type { Fence } from './markdown-fences.ts';

/** What a page tells a reader to write and to run: its TypeScript is compiled whole, and all of it run where `isRun`. */
export interface PageProgram {
  readonly isRun: boolean;
  /** `ts` fences, and between them `sh` fences of a tutorial. */
  readonly fences: readonly Fence[];
}

/**
 * The programs of a page. In a tutorial a reader goes on writing one file, so all its `ts` fences are one program, in order,
 * and its commands run where they stand. In other pages each `ts` fence stands by itself, and so does one that is not run.
 */
export function programsOf(fences: readonly Fence[], isTutorial: boolean): PageProgram[] {
  const code = fences.filter(({ language }) => language === 'ts');
  const alone = (fence: Fence): PageProgram => ({ isRun: fence.isRun, fences: [fence] });
  if (!isTutorial) return code.map(alone);
  const together = fences.filter(({ language, isRun }) => isRun && ['ts', 'sh'].includes(language));
  const program = together.length > 0 ? [{ isRun: true, fences: together }] : [];
  return [...program, ...code.filter(({ isRun }) => !isRun).map(alone)];
}

/** The TypeScript of a program with every fence on the lines that it has in its page, so that messages name those. */
export function sourceOf({ fences }: PageProgram): string {
  let source = '';
  let line = 1;
  for (const { language, line: opening, code } of fences) {
    if (language !== 'ts') continue;
    source += '\n'.repeat(opening + 1 - line) + code;
    line = opening + code.split('\n').length;
  }
  return `${source}export {};\n`;
}
