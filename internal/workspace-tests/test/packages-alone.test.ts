import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { layerOf } from '../src/arrows.ts';
import { bundle } from '../src/bundle-size.ts';
import { type ConsumerSetup, typeCheck } from '../src/consumer-types.ts';
import {
  createEmptyFolder,
  installAlone,
  type PackedPackage,
  packAll,
  packThirdParty,
  runModule,
  thirdPartyDependencies,
  thirdPartyNeeds,
  workspaceDependencies,
} from '../src/packed-packages.ts';
import { dataFolder, entriesOf, libraries, listPackages, type WorkspacePackage } from '../src/workspace.ts';

interface Ceiling {
  minifiedSizeInBytes: number;
  /** Names of packages whose code must not come along. */
  mustNotContain: string[];
}
interface Ceilings {
  packages: Record<string, Ceiling & { tarballSizeInBytes: number }>;
  imports: (Ceiling & { from: string; names: string[] })[];
}
const ceilings: Ceilings = JSON.parse(readFileSync(new URL('../size-ceilings.json', import.meta.url), 'utf8'));

// The app needs third-party packages (argument parsing, a progress bar), so it cannot be installed without network; it
// is packed and linted.
const apps = listPackages('apps').filter((one) => !one.manifest.private);
const setups: ConsumerSetup[] = ['NodeNext', 'Bundler'];

let root: Awaited<ReturnType<typeof createEmptyFolder>>;
let packed: Map<string, PackedPackage>;
const complaints = new Map<ConsumerSetup, Map<string, string[]>>();

const folderOf = (library: WorkspacePackage) => join(root.path, library.folder);
const specifier = (library: WorkspacePackage, entry: string) => library.name + entry.slice(1);

beforeAll(async () => {
  root = await createEmptyFolder();
  const tarballs = join(root.path, 'tarballs');
  await mkdir(tarballs);
  packed = await packAll([...libraries, ...apps], tarballs);
  const thirdParty = await packThirdParty(tarballs);
  await Promise.all(libraries.map((library) => installAlone(library, packed, thirdParty, folderOf(library))));

  for (const setup of setups) {
    const programs: string[] = [];
    for (const library of libraries) {
      const path = join(folderOf(library), `${setup}.ts`);
      const lines = entriesOf(library)
        // Entries for Node have no place in a project whose types are the browser's.
        .filter(({ entry }) => setup === 'NodeNext' || entry === '.')
        .flatMap(({ entry }, index) => [
          `import * as entry${index} from '${specifier(library, entry)}';`,
          `export const names${index}: string[] = Object.keys(entry${index});`,
        ]);
      await writeFile(path, `${lines.join('\n')}\n`);
      programs.push(path);
    }
    complaints.set(setup, typeCheck(setup, programs));
  }
}, 300_000);

afterAll(() => root?.[Symbol.asyncDispose]());

test('the packages found are those that are published', () => {
  expect(libraries.map((one) => one.name)).toContain('@phiblocks/tensor');
  expect(libraries.map((one) => one.name)).toContain('phiblocks');
});

test.each(setups)('the programs that use the packages meet no fault outside them with %s resolution', (setup) => {
  expect(complaints.get(setup)?.get('') ?? []).toEqual([]);
});

describe.each(libraries)('$name, alone', (library) => {
  test('needs nothing but packages of this workspace, and what a decision record gives a reason for', () => {
    const ours = new Set(libraries.map((one) => one.name));
    const foreign = Object.keys(library.manifest.dependencies ?? {}).filter((name) => !ours.has(name));
    expect(foreign).toEqual(thirdPartyDependencies.get(library.name) ?? []);
  });

  test.each(entriesOf(library))('can be imported as $entry, with exports unless it is a worker', async ({ entry }) => {
    const code = `import * as all from '${specifier(library, entry)}'; console.log(JSON.stringify(Object.keys(all)));`;
    const names: string[] = JSON.parse(await runModule(folderOf(library), code));
    // A worker is a program: it is started, not called.
    if (library.name === '@phiblocks/backend-wasm' && entry === './worker') expect(names).toEqual([]);
    else expect(names).not.toEqual([]);
    expect(names).not.toContain('default');
  });

  test.each(setups)('has types that a strict project with %s resolution accepts', (setup) => {
    expect(complaints.get(setup)?.get(folderOf(library)) ?? []).toEqual([]);
  });

  test('is packed with its README and licence, and without tests', () => {
    const { tarball } = packedOf(library);
    const files = createPackageFromTarballData(readFileSync(tarball))
      .listFiles()
      .map((file) => file.replace(`/node_modules/${library.name}/`, ''));
    expect(files).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'package.json', 'dist/index.js']));
    const isData = (file: string) => layerOf(library.name) === 'data' && file.startsWith(`${dataFolder}/`);
    const isExpected = (file: string) => /^(dist\/|LICENSE$|README\.md$|CHANGELOG\.md$|package\.json$)/.test(file);
    expect(files.filter((file) => !isExpected(file) && !isData(file))).toEqual([]);
    expect(files.filter((file) => /\.(test|bench)\.|\.cjs$|\.d\.cts$/.test(file))).toEqual([]);
  });

  test('has types that resolve for every ESM consumer (are the types wrong?)', async () => {
    const analysis = await checkPackage(createPackageFromTarballData(readFileSync(packedOf(library).tarball)));
    if (!analysis.types) throw new Error(`${library.name} was packed without types`);
    // The profile "esm-only": CommonJS and the oldest resolution are not served.
    const notServed = ['node10', 'node16-cjs'];
    const problems = analysis.problems.filter(
      (problem) => !('resolutionKind' in problem && notServed.includes(problem.resolutionKind)),
    );
    expect(problems).toEqual([]);
  });

  test('stays below its size ceilings and keeps out what it must not contain', async () => {
    const ceiling = ceilings.packages[library.name];
    expect(ceiling, `add ${library.name} to size-ceilings.json`).toBeDefined();
    const { minifiedSizeInBytes, packages } = await bundle(
      folderOf(library),
      `export * from '${library.name}';`,
      'browser',
    );
    expect(minifiedSizeInBytes).toBeLessThanOrEqual(ceiling.minifiedSizeInBytes);
    expect(packedOf(library).tarballSizeInBytes).toBeLessThanOrEqual(ceiling.tarballSizeInBytes);
    expect(packages.filter((name) => ceiling.mustNotContain.includes(name))).toEqual([]);
    const known = [...[library, ...workspaceDependencies(library)].map((one) => one.name), ...thirdPartyNeeds(library)];
    expect(packages.filter((name) => !known.includes(name))).toEqual([]);
  });
});

test.each([...libraries, ...apps])('$name has a manifest that publint has nothing to say about', async (one) => {
  const bytes = new Uint8Array(readFileSync(packedOf(one).tarball));
  const { messages, pkg } = await publint({ strict: true, pack: { tarball: bytes.buffer } });
  expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
});

// `export *` drops a name without a word when two packages export it.
test('phiblocks exports what its packages export', async () => {
  const everything = libraries.find((one) => one.name === 'phiblocks');
  if (everything === undefined) throw new Error('the package that re-exports everything is missing');
  const namesOf = async (from: string): Promise<string[]> =>
    JSON.parse(
      await runModule(
        folderOf(everything),
        `import * as all from '${from}'; console.log(JSON.stringify(Object.keys(all)));`,
      ),
    );
  const inAll = new Set(await namesOf('phiblocks'));
  const missing: string[] = [];
  for (const { name } of workspaceDependencies(everything)) {
    missing.push(...(await namesOf(name)).filter((one) => !inAll.has(one)).map((one) => `${one} of ${name}`));
  }
  expect(missing).toEqual([]);
});

// What a user pays who takes one thing: measured where everything is installed, so that anything could come along.
test.each(ceilings.imports)('$names from $from costs little and brings little', async (ceiling) => {
  const everything = libraries.find((one) => one.name === 'phiblocks');
  if (everything === undefined) throw new Error('the package that re-exports everything is missing');
  const { minifiedSizeInBytes, packages } = await bundle(
    folderOf(everything),
    `export { ${ceiling.names.join(', ')} } from '${ceiling.from}';`,
    'browser',
  );
  expect(packages.filter((name) => ceiling.mustNotContain.includes(name))).toEqual([]);
  expect(minifiedSizeInBytes).toBeLessThanOrEqual(ceiling.minifiedSizeInBytes);
});

function packedOf({ name }: WorkspacePackage): PackedPackage {
  const one = packed.get(name);
  if (one === undefined) throw new Error(`${name} was not packed`);
  return one;
}
