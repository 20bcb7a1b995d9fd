import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { layerOf, objection } from '../src/arrows.ts';
import { importsByFile, isNodeModule, nodeGlobalsIn, packageOf, reachableFrom } from '../src/imports.ts';
import { entriesOf, libraries, listPackages, readManifest, repositoryRoot } from '../src/workspace.ts';

const apps = listPackages('apps');
const internals = listPackages('internal');
const internalNames = internals.map((one) => one.name);
const rootDevDependencies = Object.keys(readManifest(repositoryRoot).devDependencies ?? {});
const isOurs = (name: string) => name === 'phiblocks' || name.startsWith('@phiblocks/');

describe('the judge of arrows', () => {
  test.each([
    ['@phiblocks/gqa', '@phiblocks/tensor'],
    ['@phiblocks/runtime', '@phiblocks/gqa'],
    ['@phiblocks/backend-wasm', '@phiblocks/tensor'],
    ['@phiblocks/runtime', '@phiblocks/backend-wasm'],
    ['phiblocks', '@phiblocks/runtime'],
  ])('lets %s import %s', (importer, imported) => {
    expect(objection(importer, imported)).toBeUndefined();
  });

  test.each([
    ['@phiblocks/tensor', '@phiblocks/gqa', 'everything stands on'],
    ['@phiblocks/gqa', '@phiblocks/longrope', 'never each other'],
    ['@phiblocks/longrope', '@phiblocks/backend-wasm', 'never each other'],
    ['@phiblocks/weights', '@phiblocks/tokenizer', 'weights import tensor only'],
    ['@phiblocks/backend-wasm', '@phiblocks/runtime', 'never the runtime'],
    ['@phiblocks/runtime', 'phiblocks', 'below what re-exports it'],
    ['@phiblocks/new-block', '@phiblocks/tensor', 'no place in the table'],
    ['@phiblocks/gqa', '@phiblocks/testing', 'not a published package'],
    ['@phiblocks/toString', '@phiblocks/tensor', 'no place in the table'],
  ])('does not let %s import %s', (importer, imported, reason) => {
    expect(objection(importer, imported)).toContain(reason);
  });
});

describe.each(libraries)('$name', (library) => {
  const files = importsByFile(library);
  const runtimeDependencies = Object.keys({
    ...library.manifest.dependencies,
    ...library.manifest.peerDependencies,
    ...library.manifest.optionalDependencies,
  });

  test('has a place in the table of arrows', () => {
    expect(layerOf(library.name), `add ${library.name} to src/arrows.ts`).toBeDefined();
  });

  test('depends only on packages below it', () => {
    const objections = runtimeDependencies.filter(isOurs).map((imported) => objection(library.name, imported));
    expect(objections.filter((text) => text !== undefined)).toEqual([]);
  });

  test('imports only packages below it, and declares them', () => {
    const objections = files
      .filter((one) => one.published)
      .flatMap(({ file, specifiers }) =>
        specifiers.map(packageOf).flatMap((imported) => {
          if (imported === undefined) return [];
          const arrow = isOurs(imported) ? objection(library.name, imported) : undefined;
          if (arrow !== undefined) return [`${file}: ${arrow}`];
          if (runtimeDependencies.includes(imported)) return [];
          return [`${file}: ${imported} is imported and not among the dependencies of ${library.name}`];
        }),
      );
    expect(objections).toEqual([]);
  });

  test('declares what its tests and its tooling import', () => {
    const declared = [
      library.name,
      ...runtimeDependencies,
      ...Object.keys(library.manifest.devDependencies ?? {}),
      ...rootDevDependencies,
    ];
    const objections = files.flatMap(({ file, specifiers }) =>
      specifiers
        .map(packageOf)
        .filter((imported) => imported !== undefined && !declared.includes(imported))
        .map((imported) => `${file}: ${imported} is imported and not declared`),
    );
    expect(objections).toEqual([]);
  });

  test('needs Node only behind its ./node entry', () => {
    const portable = entriesOf(library).filter(({ entry }) => entry !== './node');
    expect(portable.length).toBeGreaterThan(0);
    const objections = portable
      .flatMap(({ sourceFile }) => reachableFrom(library, sourceFile))
      .flatMap((file) => [
        ...(files.find((one) => one.file === file)?.specifiers ?? [])
          .filter(isNodeModule)
          .map((specifier) => `${file}: imports ${specifier} and is reached from an entry that browsers use`),
        ...(file.includes('/generated/') ? [] : nodeGlobalsIn(join(library.path, file))).map(
          (name) => `${file}: uses ${name}, which browsers do not have`,
        ),
      ]);
    expect([...new Set(objections)]).toEqual([]);
  });

  test('only re-exports in index.ts', () => {
    const path = join(library.path, 'src/index.ts');
    const others = ts
      .createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.ES2022)
      .statements.filter((statement) => !ts.isExportDeclaration(statement))
      .map((statement) => ts.SyntaxKind[statement.kind]);
    expect(others).toEqual([]);
  });
});

describe.each(apps)('$name', (app) => {
  const declared = Object.keys({ ...app.manifest.dependencies, ...app.manifest.peerDependencies });

  test('imports from packages only, and declares what it imports', () => {
    const objections = importsByFile(app)
      .filter((one) => one.published)
      .flatMap(({ file, specifiers }) =>
        specifiers.flatMap((specifier) => {
          const imported = packageOf(specifier);
          if (imported === undefined) return [];
          if (!declared.includes(imported)) return [`${file}: ${imported} is imported and not declared`];
          if (isOurs(imported) && layerOf(imported) === undefined) return [`${file}: ${imported} is not a package`];
          return [];
        }),
      );
    expect(objections).toEqual([]);
  });
});

test.each([...libraries, ...apps])('$name does not ship what is internal', ({ manifest }) => {
  const shipped = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });
  expect(shipped.filter((name) => internalNames.includes(name))).toEqual([]);
});

test.each([...libraries, ...apps, ...internals])('$name reaches other packages by name, not by path', (one) => {
  const depthBelowPackage = (file: string) => file.split('/').length - 1;
  const objections = importsByFile(one).flatMap(({ file, published, specifiers }) =>
    specifiers
      .filter((specifier) => (specifier.match(/\.\.\//g) ?? []).length > depthBelowPackage(file))
      // The configuration files of the root, and what the root scripts and the tests across packages share.
      .filter((specifier) => {
        const shared =
          /^(\.\.\/)+(tsup\.base\.ts|vitest\.base\.ts|tools\/(processes|browser-tests|nano\/vision\/scenes)\.mjs)$/.test(
            specifier,
          );
        return !shared || (published && !one.manifest.private);
      })
      .map((specifier) => `${file}: ${specifier}`),
  );
  expect(objections).toEqual([]);
});
