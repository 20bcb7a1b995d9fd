import { runExampleCode } from '@phiblocks/testing';
import { type Fence, isPrinted } from './markdown-fences.ts';
import type { PageProgram } from './program-of.ts';
import { runShell } from './run-shell.ts';

/**
 * Runs a program in the current folder: every `// => value` is compared, and what each fence prints with the `text` fence
 * behind it. A `ts` fence that prints and has none is an error, so that no output stays unseen.
 */
export async function runProgram(program: PageProgram): Promise<void> {
  const printed = await outputsOf(program);
  const wrong = program.fences.flatMap((fence, index) => misprintOf(fence, printed[index]!) ?? []);
  if (wrong.length > 0) throw new Error(wrong.join('\n'));
}

/** Runs a program in the current folder and gives what each of its fences prints. */
export async function outputsOf({ fences }: PageProgram): Promise<string[]> {
  const printed = fences.map(() => '');
  let current = 0;
  const write = (text: string): boolean => {
    printed[current] += text;
    return true;
  };
  const log = (...values: unknown[]): void => {
    write(`${values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))).join(' ')}\n`);
  };
  const scope = {
    __enter: (index: number) => {
      current = index;
    },
    __shell: async (index: number) => {
      current = index;
      write(await runShell(fences[index]!.code, process.cwd()));
    },
    console: { ...console, log },
    process: Object.create(process, { stdout: { value: { write } } }),
  };
  const code = fences.map(({ language, code }, index) =>
    language === 'ts' ? `__enter(${index});\n${code}` : `await __shell(${index});`,
  );
  try {
    await runExampleCode(code.join('\n'), scope, (name) => import(/* @vite-ignore */ name));
  } catch (error) {
    const { line } = fences[current]!;
    throw new Error(`the fence on line ${line}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
  return printed;
}

/** What is to be said about the output of a fence; undefined where the page has it right. */
function misprintOf({ line, language, printed }: Fence, actual: string): string | undefined {
  if (printed === undefined && actual !== '' && language === 'ts') {
    return `the fence on line ${line} prints this, and the page does not say so:\n${actual}`;
  }
  if (printed !== undefined && !isPrinted(actual, printed)) {
    return `the fence on line ${line} prints\n${actual}\nand the page says\n${printed}`;
  }
  return undefined;
}
