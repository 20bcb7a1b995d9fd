import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { importsByFile } from '../src/imports.ts';
import { workspaceDependencies } from '../src/packed-packages.ts';
import { entriesOf, libraries, type WorkspacePackage } from '../src/workspace.ts';

// The package that re-exports everything shows the same tables again.
const owners = libraries.filter((one) => one.name !== 'phiblocks');

interface CodeTable {
  packageName: string;
  tableName: string;
  codes: Record<string, unknown>;
}

const tables: CodeTable[] = [];
for (const library of owners) {
  for (const { distFile } of entriesOf(library).filter(({ entry }) => entry === '.')) {
    const exported: Record<string, unknown> = await import(pathToFileURL(join(library.path, distFile)).href);
    for (const [tableName, codes] of Object.entries(exported)) {
      if (/(Error|Warning)Codes$/.test(tableName)) {
        tables.push({ packageName: library.name, tableName, codes: codes as Record<string, unknown> });
      }
    }
  }
}

const codesOf = ({ name }: WorkspacePackage) =>
  tables.filter((table) => table.packageName === name).flatMap((table) => Object.keys(table.codes));

/** The codes that a package's own code gives to errors, as far as they are written out. */
function codesWrittenIn(library: WorkspacePackage): { file: string; code: string }[] {
  return importsByFile(library)
    .filter((one) => one.published)
    .flatMap(({ file }) => {
      // Without comments, whose examples may show other packages' codes.
      const text = readFileSync(join(library.path, file), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
      return [...text.matchAll(/\bcode: '([^']+)'/g)].map(([, code]) => ({ file, code }));
    });
}

// Codes that `tensor` defines for every package; each is documented with the class or function that uses it.
const sharedCodes = ['SHAPE', 'ARGUMENT', 'OPTION_UNKNOWN'];

// What can happen in any package and means the same everywhere.
const generalCodes = [
  'ABORTED',
  'CTX_OVERFLOW',
  'EXPERT_MISSING',
  'HANDLE_INVALID',
  'KV_COMMIT',
  'NUM_NAN',
  'OOM',
  'STEP_ENDED',
  'TOKEN_ID_RANGE',
  'UNSUPPORTED',
  'WORKER_LOST',
];

test('there are tables of error codes', () => {
  expect(tables.length).toBeGreaterThan(0);
});

describe.each(tables)('$tableName of $packageName', ({ packageName, tableName, codes }) => {
  test('names codes in capitals and says what each means', () => {
    for (const [code, meaning] of Object.entries(codes)) {
      expect(code).toMatch(/^[A-Z]+[A-Z0-9]*(_[A-Z0-9]+)*$/);
      expect(meaning, code).toEqual(expect.stringMatching(/\S{2,}/));
    }
  });

  test('defines no code that another table defines, unless it is a general one', () => {
    const others = tables.filter((other) => other.packageName !== packageName || other.tableName !== tableName);
    const twice = others.flatMap((other) =>
      Object.keys(codes)
        .filter((code) => Object.hasOwn(other.codes, code) && !generalCodes.includes(code))
        .map((code) => `${code} is also in ${other.tableName} of ${other.packageName}`),
    );
    expect(twice).toEqual([]);
  });
});

test.each(owners)('$name throws only codes that a table explains', (library) => {
  const generalExplained = generalCodes.filter((code) => tables.some(({ codes }) => Object.hasOwn(codes, code)));
  const explained = new Set([
    ...sharedCodes,
    ...generalExplained,
    ...[library, ...workspaceDependencies(library)].flatMap(codesOf),
  ]);
  const unexplained = codesWrittenIn(library)
    .filter(({ code }) => !explained.has(code))
    .map(({ file, code }) => `${file}: ${code} is in no table`);
  expect(unexplained).toEqual([]);
});
