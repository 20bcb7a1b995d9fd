import { dirname, join } from 'node:path';
import ts from 'typescript';
import { repositoryRoot } from './workspace.ts';

/** How a user's project may be set up. */
export type ConsumerSetup = 'NodeNext' | 'Bundler';

// One compiler run for all packages: the standard library is parsed once instead of once per package.
const setups: Record<ConsumerSetup, ts.CompilerOptions> = {
  NodeNext: {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: ['lib.es2022.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node'],
    typeRoots: [join(repositoryRoot, 'node_modules/@types')],
  },
  Bundler: {
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    lib: ['lib.es2022.d.ts', 'lib.esnext.disposable.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    types: [],
  },
};

/**
 * Type-checks small programs against the declarations of installed packages, with everything strict and without
 * `skipLibCheck`, so that faults inside the declarations count too.
 *
 * @param setup - the user's kind of project
 * @param programs - absolute paths of TypeScript files, each in a folder where a package is installed
 * @returns the complaints by folder, one line each
 */
export function typeCheck(setup: ConsumerSetup, programs: readonly string[]): Map<string, string[]> {
  const program = ts.createProgram(programs, {
    ...setups[setup],
    target: ts.ScriptTarget.ES2022,
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    noEmit: true,
  });
  const folders = programs.map(dirname);
  const complaints = new Map<string, string[]>();
  for (const diagnostic of ts.getPreEmitDiagnostics(program)) {
    const path = diagnostic.file?.fileName ?? '';
    const folder = folders.find((one) => path.startsWith(`${one.replaceAll('\\', '/')}/`)) ?? '';
    const line = diagnostic.file?.getLineAndCharacterOfPosition(diagnostic.start ?? 0).line ?? 0;
    const message = ts.flattenDiagnosticMessageText(diagnostic.messageText, ' ');
    const file = path.slice(folder.length + 1);
    complaints.set(folder, [...(complaints.get(folder) ?? []), `${file}:${line + 1}: ${message}`]);
  }
  return complaints;
}
