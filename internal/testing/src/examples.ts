import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

/** Modules that an example may import, by the name it imports them under. */
export type ExampleModules = Record<string, Record<string, unknown>>;

/**
 * Runs every `@example` in the documentation comments below a source folder, one test each. All exports of the package
 * are in scope. A line `expression; // => value` is a check: `value` is a JavaScript expression, numbers may differ by
 * one part in a million, typed arrays compare as plain arrays.
 *
 * @param sourceFolder - `new URL('../src', import.meta.url)`
 * @param scope - what examples see without importing it: the package's own exports and, where needed, prepared values
 * @param modules - what examples may import
 */
export function testExamples(sourceFolder: URL, scope: Record<string, unknown>, modules: ExampleModules = {}): void {
  const folder = fileURLToPath(sourceFolder);
  describe('examples in the documentation comments', () => {
    let count = 0;
    for (const file of sourceFiles(folder)) {
      for (const [index, code] of examplesOf(readFileSync(join(folder, file), 'utf8')).entries()) {
        count++;
        it(`${file} example ${index + 1}`, () => runExample(code, scope, modules));
      }
    }
    it('there are examples', () => expect(count).toBeGreaterThan(0));
  });
}

/**
 * Runs the `ts` code fences of a README (or any Markdown page), one test each, in order. Fences marked `ts no-run` are
 * only meant to be read.
 */
export function testMarkdown(page: URL, modules: ExampleModules, scope: Record<string, unknown> = {}): void {
  const path = fileURLToPath(page);
  describe(`code in ${path.split('/').slice(-2).join('/')}`, () => {
    const fences = [...readFileSync(path, 'utf8').matchAll(/^```ts\n(.*?)^```/gms)].map((match) => match[1]!);
    for (const [index, code] of fences.entries()) {
      it(`fence ${index + 1}: ${code.split('\n')[0]}`, () => runExample(code, scope, modules));
    }
    it('there is code', () => expect(fences.length).toBeGreaterThan(0));
  });
}

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && !file.endsWith('.bench.ts'))
    .filter((file) => !file.includes('generated'))
    .sort();
}

/** The code of every `@example` of a source text, comment decoration removed. */
export function examplesOf(source: string): string[] {
  const examples: string[] = [];
  for (const [comment] of source.matchAll(/\/\*\*.*?\*\//gs)) {
    const lines = comment
      .replace(/^\/\*\*|\*\/$/g, '')
      .split('\n')
      .map((line) => line.replace(/^\s*\* ?/, ''));
    let current: string[] | undefined;
    for (const line of [...lines, '@end']) {
      if (/^@\w+/.test(line)) {
        if (current && current.join('').trim() !== '') examples.push(current.join('\n'));
        current = line.startsWith('@example') ? [] : undefined;
      } else if (current && !line.startsWith('```')) {
        current.push(line);
      }
    }
  }
  return examples;
}

async function runExample(code: string, scope: Record<string, unknown>, modules: ExampleModules): Promise<void> {
  await runExampleCode(code, scope, (from) => {
    const module = modules[from];
    if (!module) throw new Error(`the example imports ${from}, which its test does not provide`);
    return module;
  });
}

/**
 * Runs TypeScript as examples and Markdown pages have it: types are erased, lines `expression; // => value` are checks,
 * imports are asked for by name.
 *
 * @param code - statements; `await` may stand anywhere
 * @param scope - what the code sees without importing it
 * @param importModule - the exports of a module
 */
export async function runExampleCode(
  code: string,
  scope: Record<string, unknown>,
  importModule: (from: string) => Record<string, unknown> | Promise<Record<string, unknown>>,
): Promise<void> {
  const checked = code
    .split('\n')
    .map((line) => {
      const match = /^(\s*)(.*?);?\s*\/\/ => (.+)$/.exec(line);
      if (!match) return line;
      const [, indent, statement, value] = match;
      const declared = /^(?:const|let) (\w+) =/.exec(statement!);
      return declared
        ? `${indent}${statement}; __check(${declared[1]}, ${value});`
        : `${indent}__check((${statement}), ${value});`;
    })
    .join('\n')
    .replace(/^import \{([^}]*)\} from '([^']+)';/gm, (_, names: string, from: string) => {
      return `const {${names.replace(/\btype \w+,?/g, '').replace(/ as /g, ': ')}} = await __import('${from}');`;
    });
  const { outputText } = ts.transpileModule(checked, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  const body = outputText.replace(/^export \{\};$/m, '');
  const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor as FunctionConstructor;
  const names = Object.keys(scope);
  const run = new AsyncFunction('__check', '__import', ...names, body);
  await run(check, importModule, ...names.map((name) => scope[name]));
}

function check(actual: unknown, expected: unknown): void {
  if (typeof expected === 'number' && typeof actual === 'number' && Number.isFinite(expected)) {
    expect(Math.abs(actual - expected), `got ${actual}, the example says ${expected}`).toBeLessThanOrEqual(
      1e-6 * Math.abs(expected),
    );
  } else if (Array.isArray(expected) && ArrayBuffer.isView(actual)) {
    check(Array.from(actual as ArrayBufferView & ArrayLike<unknown>), expected);
  } else if (Array.isArray(expected) && Array.isArray(actual)) {
    expect(actual.length, 'length of the array').toBe(expected.length);
    for (let i = 0; i < expected.length; i++) check(actual[i], expected[i]);
  } else {
    expect(actual).toEqual(expected);
  }
}
