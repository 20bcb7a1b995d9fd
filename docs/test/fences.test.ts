import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compilePrograms } from './fences/compile-programs.ts';
import { corrected, fencesOf, isPrinted } from './fences/markdown-fences.ts';
import { type PageProgram, programsOf, sourceOf } from './fences/program-of.ts';
import { outputsOf, runProgram } from './fences/run-program.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));

/** Installed, or made by programs, or records that are never rewritten. */
const notOurs = ['node_modules', 'dist', 'coverage', '.vitepress', '.turbo', '.git', '.changeset', 'api', 'decisions'];

function markdownFiles(folder: string): string[] {
  return readdirSync(join(repository, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return notOurs.includes(entry.name) ? [] : markdownFiles(path);
    return entry.name.endsWith('.md') && entry.name !== 'CHANGELOG.md' ? [path] : [];
  });
}

const pages = markdownFiles('')
  .sort()
  .map((path) => ({ path, fences: fencesOf(readFileSync(join(repository, path), 'utf8')) }));

const isTutorial = (path: string): boolean => path.startsWith(join('docs', 'tutorials'));

/** Whether the package of a README runs its fences itself, in `test/readme.test.ts`. */
function runsItself(path: string): boolean {
  const test = join(repository, path, '../test/readme.test.ts');
  return path.endsWith('README.md') && existsSync(test) && readFileSync(test, 'utf8').includes('testMarkdown(');
}

const programs = pages.flatMap(({ path, fences }) =>
  programsOf(fences, isTutorial(path)).map((program) => ({
    ...program,
    path,
    name: `${path}:${program.fences[0]!.line}`,
  })),
);

describe('code fences', () => {
  it('there are pages with code, tutorials and READMEs', () => {
    const withCode = new Set(programs.map(({ path }) => path));
    expect(withCode).toContain('README.md');
    expect(withCode).toContain('packages/tensor/README.md');
    expect([...withCode].filter((path) => path.startsWith('docs/tutorials/')).length).toBeGreaterThan(0);
  });

  it('code is spelled ts and stands at the margin, so that none is passed over', () => {
    for (const path of markdownFiles('')) {
      const text = readFileSync(join(repository, path), 'utf8');
      expect(text, path).not.toMatch(/^[ \t]+```(?:ts|sh)/m);
      expect(text, path).not.toMatch(/^```(?:typescript|javascript|js|tsx|mts|shell|bash)\b/m);
    }
  });

  it('no line of code is longer than 80 characters, which is what a page has room for', () => {
    const tooLong = pages.flatMap(({ path, fences }) =>
      fences
        .filter(({ language }) => ['ts', 'sh', 'json'].includes(language))
        .flatMap(({ code, line }) => code.split('\n').map((text, index) => ({ text, line: line + 1 + index })))
        .filter(({ text }) => [...text].length > 80)
        .map(({ text, line }) => `${path}:${line} ${text}`),
    );
    expect(tooLong).toEqual([]);
  });

  it('who installs what a tutorial names, or a README before its first code, has what the code imports', () => {
    const missing = pages.flatMap(({ path, fences }) => {
      const isOfPackage = /^packages.[^/\\]+.README\.md$/.test(path);
      if (!isTutorial(path) && !isOfPackage) return [];
      const code = fences.filter(({ language }) => language === 'ts').map(({ code }) => code);
      const commands = fences
        .filter(({ language }) => language === 'sh')
        .map(({ code }) => code.replaceAll('\\\n', ' '));
      const installed = commands.flatMap((command) => command.match(/(?<=^npm install .*)(?<= )[@\w./-]+/gm) ?? []);
      const imported = (isTutorial(path) ? code : code.slice(0, 1)).flatMap(
        (text) => text.match(/(?<=')(?:@phiblocks\/[\w-]+|phiblocks(?=['/]))/g) ?? [],
      );
      return imported.filter((name) => !installed.includes(name)).map((name) => `${path} does not install ${name}`);
    });
    expect(missing).toEqual([]);
  });

  it('every ts fence compiles, strictly', () => {
    const sources = new Map(programs.map((program) => [program.name, sourceOf(program)]));
    const wrong = [...compilePrograms(sources)].flatMap(([name, messages]) =>
      messages.map((message) => `${name.replace(/:\d+$/, '')} ${message}`),
    );
    expect(wrong).toEqual([]);
  }, 300_000);
});

const startFolder = process.cwd();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'phiblocks-docs-'));
});
afterAll(async () => {
  process.chdir(startFolder);
  await rm(folder, { recursive: true, force: true });
});

/** `UPDATE_OUTPUTS=1` writes what code prints into the pages, to be read before it is committed: new weights print otherwise. */
async function updatePage(path: string, program: PageProgram): Promise<void> {
  const outputs = await outputsOf(program);
  let page = readFileSync(join(repository, path), 'utf8');
  for (const [index, { code, printed }] of program.fences.entries()) {
    if (printed === undefined || isPrinted(outputs[index]!, printed)) continue;
    const start = page.indexOf('```text\n', page.indexOf(code)) + '```text\n'.length;
    page = page.slice(0, start) + corrected(outputs[index]!, printed) + page.slice(start + printed.length);
  }
  writeFileSync(join(repository, path), page);
}

describe('programs of pages print what the pages say', () => {
  const run = programs.filter(({ isRun, path }) => isRun && !runsItself(path));
  it.each(run)(
    '$name',
    async (program) => {
      // A folder as a reader has it: the packages are installed, and what the page writes lies there.
      const place = await mkdtemp(join(folder, 'page-'));
      await symlink(join(repository, 'docs/node_modules'), join(place, 'node_modules'));
      process.chdir(place);
      if (process.env.UPDATE_OUTPUTS) await updatePage(program.path, program);
      else await runProgram(program);
    },
    300_000,
  );
});

describe('how pages are read', () => {
  const page = ['```ts', 'a; // => 1', '```', '', '```text', 'x … y', '```', '', 'And', '```text', 'z', '```', ''];

  it('a text fence behind code is its output, another one is a text', () => {
    const fences = fencesOf(page.join('\n'));
    expect(fences.map(({ language, printed, line }) => [language, printed, line])).toEqual([
      ['ts', 'x … y\n', 1],
      ['text', undefined, 10],
    ]);
  });

  it('a fence may be no-run and nothing else', () => {
    expect(fencesOf('```ts no-run\n```')[0]!.isRun).toBe(false);
    expect(() => fencesOf('```ts no-rum\n```')).toThrow('line 1');
  });

  it('output is compared line by line, … stands for anything within one', () => {
    expect(isPrinted('took 3 ms\n', 'took … ms\n')).toBe(true);
    expect(isPrinted('a.c\n', 'abc\n')).toBe(false);
    expect(isPrinted('a\nb\n', 'a\n')).toBe(false);
    expect(isPrinted('a\nb\n', '…\n')).toBe(false);
  });

  it('a correction keeps the lines that are right', () => {
    expect(corrected('a 1 ms\nb 2\n', 'a … ms\nb 3\n')).toBe('a … ms\nb 2\n');
  });

  it('a program keeps the lines of its page', () => {
    const [program] = programsOf(fencesOf('```ts\none;\n```\ntext\n```ts\ntwo;\n```\n'), true);
    expect(sourceOf(program!).split('\n').slice(0, 7)).toEqual(['', 'one;', '', '', '', 'two;', 'export {};']);
  });

  it('what is printed unseen, or otherwise than the page says, is an error', async () => {
    process.chdir(folder);
    const programOf = (text: string) => programsOf(fencesOf(text), true)[0]!;
    await expect(runProgram(programOf('```ts\nconsole.log(1);\n```\n'))).rejects.toThrow('does not say so');
    await expect(runProgram(programOf('```ts\nconsole.log(1);\n```\n```text\n2\n```\n'))).rejects.toThrow('prints\n1');
    await expect(runProgram(programOf('```ts\n1 + 1; // => 3\n```\n'))).rejects.toThrow('line 1');
    await runProgram(programOf('```sh\necho 1; echo 2 >&2\n```\n```text\n1\n```\n'));
    await expect(runProgram(programOf('```sh\nfalse\n```\n'))).rejects.toThrow('line 1');
    await runProgram(programOf('```ts\nconst a = 2;\n```\n\n```ts\nconsole.log(a);\n```\n```text\n2\n```\n'));
  });

  it('compiling names the line of the page', () => {
    const wrong = compilePrograms(new Map([['page', '\nconst a: string = 1;\nexport {};\n']]));
    expect(wrong.get('page')).toEqual(["line 2: Type 'number' is not assignable to type 'string'."]);
  }, 60_000);
});
