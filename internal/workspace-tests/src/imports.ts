import { readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join, posix } from 'node:path';
import ts from 'typescript';
import { isTestOrTooling, listFiles, type WorkspacePackage } from './workspace.ts';

/** The module specifiers a TypeScript file imports, re-exports or loads with `import()`, types included. */
export function importsOf(path: string): string[] {
  return ts.preProcessFile(readFileSync(path, 'utf8'), true, true).importedFiles.map((found) => found.fileName);
}

/** The package a specifier names (`@phiblocks/weights/node` is `@phiblocks/weights`); undefined for files and Node's modules. */
export function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith('.') || isNodeModule(specifier)) return undefined;
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0];
}

export function isNodeModule(specifier: string): boolean {
  return specifier.startsWith('node:') || builtinModules.includes(specifier.split('/')[0]);
}

/** The hand-written TypeScript files of a package with their imports. */
export function importsByFile({
  path,
}: WorkspacePackage): { file: string; published: boolean; specifiers: string[] }[] {
  return listFiles(path)
    .filter((file) => /\.(ts|mts|tsx)$/.test(file))
    .map((file) => ({ file, published: !isTestOrTooling(file), specifiers: importsOf(join(path, file)) }));
}

/** The files of a package that an entry reaches through relative imports, the entry included. */
export function reachableFrom({ path }: WorkspacePackage, entry: string): string[] {
  const reached = new Set<string>();
  const waiting = [entry];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (reached.has(file)) continue;
    reached.add(file);
    // What the build generates is not there before it ran, and imports nothing.
    if (file.includes('/generated/')) continue;
    for (const specifier of importsOf(join(path, file))) {
      if (specifier.startsWith('.')) waiting.push(posix.join(posix.dirname(file), specifier));
    }
  }
  return [...reached].sort();
}

/** Node's own globals that a file uses without asking for them first: what would fail in a browser. */
export function nodeGlobalsIn(path: string): string[] {
  const globals = new Set(['Buffer', 'process', '__dirname', '__filename', 'require', 'setImmediate']);
  const found = new Set<string>();
  const askedFor = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && globals.has(node.text)) {
      const { parent } = node;
      const isPropertyName =
        (ts.isPropertyAccessExpression(parent) && parent.name === node) ||
        (ts.isPropertyAssignment(parent) && parent.name === node) ||
        ts.isPropertySignature(parent) ||
        ts.isMethodDeclaration(parent) ||
        ts.isMethodSignature(parent) ||
        ts.isPropertyDeclaration(parent);
      // `typeof process` asks whether it is there: a file that does so has another way where it is not.
      if (ts.isTypeOfExpression(parent)) askedFor.add(node.text);
      else if (!isPropertyName) found.add(node.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.ES2022, true));
  return [...found].filter((name) => !askedFor.has(name)).sort();
}
